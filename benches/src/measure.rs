//! What is measured: servers are started and connected to, rounds are run in turn, and compared.

mod ack;
mod calls;
mod connect;
mod contest;
mod driven;
mod fanout;
mod faults;
mod idle;
mod ingress;
mod metrics;
mod nodes;
mod overload;
mod poll;
mod relay;
mod relay_flood;
mod replay;
mod round;
mod scrape;
mod shapes;
mod slow;
pub(crate) mod suite;

use self::contest::Contest;
use crate::Result;
use crate::cli::Common;
use crate::peers::Peer;
use crate::report::document::Part;

/// A measurement: what the command line says it is.
pub(crate) trait Measure {
    /// What it has in common with all others.
    fn common(&self) -> &Common;

    /// Whom Carillon is set beside when nobody is named; nobody, unless it says so.
    fn peers(&self) -> Vec<Peer> {
        Vec::new()
    }

    /// About how long it takes with so many servers.
    fn seconds(&self, servers: usize) -> f64;

    /// Measures.
    fn measure(&self, contest: &mut Contest) -> Result<Part>;

    /// What is missing on this machine, with the command that installs it.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Measures alone, and prints what came of it; false when a round failed.
    fn run(&self) -> Result<bool> {
        let servers = self.common().servers(&self.peers()).len().max(1);
        let mut contest = Contest::new(self.common(), self.seconds(servers))?;
        let part = self.measure(&mut contest)?;
        contest.finish(&part)
    }
}
