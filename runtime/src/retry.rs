//! How long to wait before the next try.

use rand::Rng as _;
use std::time::Duration;

/// Waits that double from `first` to `longest`, each shortened by up to half at random so that many do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try.
    pub first: Duration,
    /// Before any later one, at most.
    pub longest: Duration,
}

impl Backoff {
    /// Returns the wait after failure number `failures`, counted from 1.
    #[must_use]
    pub fn after(self, failures: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.longest).mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        for (failures, most_ms) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (60, 1_000)] {
            let wait = backoff.after(failures).as_millis();
            assert!((most_ms / 2..=most_ms).contains(&wait), "{failures} failures wait {wait} ms");
        }
    }
}
