//! What the kernel knows about a server and its sockets, read from `/proc`. A server is a process and its children: nginx
//! does its work in those.

use std::collections::HashMap;
use std::fs;

use serde::Serialize;

use crate::Result;

/// Processor time, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// Both kinds.
    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }

    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// A process and its children, which have none themselves.
fn family(pid: u32) -> Vec<u32> {
    // Not every kernel lists them: then there is one process.
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

/// Processor time of all threads of a server.
pub(crate) fn cpu(pid: u32) -> Result<Cpu> {
    let mut sum = Cpu::default();
    for pid in family(pid) {
        let cpu = process(pid)?;
        sum = Cpu { user: sum.user + cpu.user, system: sum.system + cpu.system };
    }
    Ok(sum)
}

/// Processor time of one process. `stat` counts in ticks of 10 ms, dead threads included; `schedstat` to the nanosecond, but
/// living threads only and without telling user from system. So the sum is taken from the latter, shared out as the
/// former has it.
fn process(pid: u32) -> Result<Cpu> {
    let (_, cpu) = stat(&read(&format!("/proc/{pid}/stat"))?).ok_or("unreadable stat")?;
    let mut exact = 0.0;
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ends meanwhile is no mistake; a kernel without the file leaves the ticks.
        let text = fs::read_to_string(entry?.path().join("schedstat")).unwrap_or_default();
        let run: u64 = text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0);
        exact += run as f64 / 1e9;
    }
    let ticks = cpu.total();
    if exact <= 0.0 || ticks <= 0.0 {
        return Ok(cpu);
    }
    Ok(Cpu { user: exact * cpu.user / ticks, system: exact * cpu.system / ticks })
}
/// Processor time of each living thread, by its number, with its name.
pub(crate) fn threads(pid: u32) -> Result<HashMap<u32, (String, Cpu)>> {
    let mut threads = HashMap::new();
    let folders: Result<Vec<_>> =
        family(pid).into_iter().map(|pid| Ok(fs::read_dir(format!("/proc/{pid}/task"))?)).collect();
    for entry in folders?.into_iter().flatten() {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        // A thread that ends meanwhile is no mistake.
        if let (Some(id), Ok(text)) = (id, fs::read_to_string(path.join("stat")))
            && let Some(read) = stat(&text)
        {
            threads.insert(id, read);
        }
    }
    Ok(threads)
}

/// Name and times from a line of `stat`; the name stands in parentheses and may hold any character.
fn stat(text: &str) -> Option<(String, Cpu)> {
    let (open, close) = (text.find('(')?, text.rfind(')')?);
    // utime and stime are fields 14 and 15; what follows the name begins with field 3.
    let mut fields = text.get(close + 1..)?.split_whitespace().skip(11);
    let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
    let mut time = || Some(fields.next()?.parse::<u64>().ok()? as f64 * tick);
    Some((text[open + 1..close].to_owned(), Cpu { user: time()?, system: time()? }))
}

/// Resident memory of a server, in KiB: exact where the kernel adds it up, else as of its last count.
pub(crate) fn rss_kb(pid: u32) -> Result<u64> {
    family(pid).into_iter().map(process_rss_kb).sum()
}

/// The part of it that no file stands behind: heap and stacks, in KiB.
pub(crate) fn anonymous_kb(pid: u32) -> Option<u64> {
    let of = |pid| status_kb(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Anonymous");
    family(pid).into_iter().map(of).sum()
}

/// What the kernel keeps for all of this machine's sockets and files: its small objects, and what is under way in TCP, in KiB.
pub(crate) fn kernel_kb() -> Option<u64> {
    let pages = fs::read_to_string("/proc/net/sockstat").ok()?;
    let tcp =
        pages.lines().find_map(|line| line.strip_prefix("TCP:")?.rsplit_once("mem "))?.1.trim().parse::<u64>().ok()?;
    Some(
        status_kb(&fs::read_to_string("/proc/meminfo").ok()?, "Slab")? + tcp * rustix::param::page_size() as u64 / 1024,
    )
}

fn process_rss_kb(pid: u32) -> Result<u64> {
    let exact = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    if let Some(kb) = exact.and_then(|text| status_kb(&text, "Rss")) {
        return Ok(kb);
    }
    Ok(status_kb(&read(&format!("/proc/{pid}/status"))?, "VmRSS").ok_or("no VmRSS")?)
}

/// The value of a line `name:   123 kB`.
pub(crate) fn status_kb(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// TCP segments with new data that this machine has sent so far. On loopback, without delay and with windows open, each
/// `write` is one of them (up to 64 KiB): the neutral way to count a server's writes. The load's own few do not matter.
pub(crate) fn segments() -> Result<u64> {
    Ok(netstat(&read("/proc/net/netstat")?, "TcpExt:", "TCPOrigDataSent").ok_or("no TCPOrigDataSent")?)
}

/// One value of a table whose names and numbers stand on two lines of the same prefix.
fn netstat(text: &str, prefix: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(prefix));
    let at = lines.next()?.split(' ').position(|column| column == name)?;
    lines.next()?.split(' ').nth(at)?.parse().ok()
}

/// Bytes that wait in the kernel of the server at `port`, by the port of the client: written, and not yet acknowledged.
pub(crate) fn send_queues(port: u16) -> Result<HashMap<u16, u64>> {
    Ok(queues(&read("/proc/net/tcp")?, port))
}

fn queues(text: &str, port: u16) -> HashMap<u16, u64> {
    text.lines().skip(1).filter_map(|line| queue(line, port)).collect()
}

fn queue(line: &str, port: u16) -> Option<(u16, u64)> {
    let port_of = |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let mut fields = line.split_whitespace().skip(1);
    let (local, remote, state, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    // 01 is an established connection.
    if state != "01" || port_of(local)? != port {
        return None;
    }
    Some((port_of(remote)?, u64::from_str_radix(queues.split_once(':')?.0, 16).ok()?))
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).map_err(|error| format!("{file}: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_and_spaces() {
        let line = "17 (tokio (1) w) S 1 17 17 0 -1 4194560 5 0 0 0 250 1250 0 0 20 0 3 0 100 1 1";
        let (name, cpu) = stat(line).unwrap();
        let tick = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        assert_eq!((name.as_str(), cpu), ("tokio (1) w", Cpu { user: 250.0 * tick, system: 1250.0 * tick }));
        assert_eq!(stat("17 (x) S 1"), None);
        assert_eq!(stat(""), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        let mut sum = 0u64;
        while cpu(pid).unwrap().since(before).total() < 0.02 {
            sum = sum.wrapping_mul(3) + 1;
        }
        assert!(sum > 0 && !threads(pid).unwrap().is_empty());
        let (all, anonymous) = (rss_kb(pid).unwrap(), anonymous_kb(pid).unwrap_or(1));
        assert!(all > 100 && anonymous > 0 && anonymous < all && kernel_kb().is_some());
        assert!(cpu(u32::MAX).is_err());
    }

    #[test]
    fn tables_in_two_lines() {
        let text = "TcpExt: A B C\nTcpExt: 1 2 3\nIpExt: B\nIpExt: 9\n";
        assert_eq!(netstat(text, "TcpExt:", "B"), Some(2));
        assert_eq!(netstat(text, "IpExt:", "B"), Some(9));
        assert_eq!(netstat(text, "TcpExt:", "D"), None);
        assert!(segments().is_ok());
    }

    #[test]
    fn sockets_of_one_server() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F95 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n\
            1: 0100007F:1F95 0100007F:C350 01 00000A00:00000000 01:00000014 00000000     0\n\
            2: 0100007F:C350 0100007F:1F95 01 00000001:00000F00 00:00000000 00000000     0\n";
        assert_eq!(queues(text, 8085), HashMap::from([(50_000, 2560)]));
        assert_eq!(status_kb("VmPeak:  9 kB\nVmRSS:\t   123 kB\n", "VmRSS"), Some(123));
    }
}
