//! Scrapes of `/metrics`, which take a tenth of one thread's time at most while each takes a hundredth of a second or
//! less: however many ask, and however often, clients are served.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// After a scrape that took so long, nobody is given another one for so many times as long.
const REST: u32 = 9;
/// But for no longer than this: nobody waits for seconds.
const MOST: Duration = Duration::from_millis(100);

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Scrapes(Mutex<Option<Last>>);

/// The last scrape.
struct Last {
    begun: Instant,
    took: Duration,
    next: Instant,
    text: Bytes,
}

impl Scrapes {
    /// What `render` gives, called after this was: by this caller, or by another one that has waited as well.
    pub(super) async fn text<E>(&self, render: impl FnOnce() -> Result<String, E>) -> Result<Bytes, E> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(last) = last.as_ref() {
            if last.begun > asked {
                return Ok(last.text.clone());
            }
            sleep_until(last.next).await;
        }
        let begun = Instant::now();
        let text = Bytes::from(render()?);
        let now = Instant::now();
        let took = now - begun;
        // One that was long because the machine was busy counts like the one before.
        let usual = last.as_ref().map_or(took, |last| took.min(last.took));
        *last = Some(Last { begun, took, next: now + (REST * usual).min(MOST), text: text.clone() });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// Each scrape takes 1 ms and tells how many were made before.
    struct Renderer(AtomicUsize);

    impl Renderer {
        fn render(&self) -> Result<String, Infallible> {
            std::thread::sleep(Duration::from_millis(1));
            Ok(self.0.fetch_add(1, Ordering::Relaxed).to_string())
        }
    }

    /// Who asks alone gets a new one each time, after a rest.
    #[tokio::test]
    async fn a_scrape_is_never_older_than_its_question() {
        let (scrapes, renderer) = (Scrapes::default(), Renderer(AtomicUsize::new(0)));
        for wanted in 0..3 {
            let begun = Instant::now();
            let Ok(text) = scrapes.text(|| renderer.render()).await;
            assert_eq!(text, wanted.to_string());
            assert!(wanted == 0 || begun.elapsed() >= Duration::from_millis(9), "no rest before scrape {wanted}");
        }
    }

    /// Those who wait together share one.
    #[tokio::test]
    async fn many_who_wait_share_a_scrape() {
        let (scrapes, renderer) = (Scrapes::default(), Renderer(AtomicUsize::new(0)));
        let Ok(_) = scrapes.text(|| renderer.render()).await;
        let texts = join_all((0..100).map(|_| scrapes.text(|| renderer.render()))).await;
        assert!(texts.into_iter().all(|text| text.is_ok_and(|text| text == "1")));
        assert_eq!(renderer.0.load(Ordering::Relaxed), 2);
    }
}
