//! Pauses between attempts that double up to a longest one.

use std::time::Duration;

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From `first` on, up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first.min(longest) }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// The next pause or up to half of it less, by chance, so that many servers do not come back in step.
    pub fn spread(&mut self) -> Duration {
        self.pause().mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// An attempt succeeded: the next pause is the first one again.
    pub fn reset(&mut self) {
        self.next = self.first.min(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(350));
        assert_eq!(
            [backoff.pause(), backoff.pause(), backoff.pause(), backoff.pause()].map(|p| p.as_millis()),
            [100, 200, 350, 350]
        );
        backoff.reset();
        for longest in [100, 200, 350, 350] {
            let pause = backoff.spread();
            assert!(pause >= ms(longest) / 2 && pause <= ms(longest), "{pause:?} of {longest} ms");
        }
        assert_eq!(Backoff::new(ms(100), ms(50)).pause(), ms(50), "a longest pause below the first one counts");
    }
}
