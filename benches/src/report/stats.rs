//! Medians and how far they can be trusted.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A figure measured several times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    /// The figure of these measurements; `None` without any.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, min, max })
    }

    /// The same in another unit.
    pub(crate) fn times(self, by: f64) -> Self {
        Self { median: self.median * by, min: self.min * by, max: self.max * by }
    }

    /// From the least to the greatest, as a part of the median.
    pub(crate) fn spread(self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.max - self.min) / self.median }
    }

    /// A spread that makes the figure doubtful.
    pub(crate) fn is_doubtful(self) -> bool {
        self.spread() > 0.2
    }
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    /// How many were measured.
    pub(crate) samples: u64,
}

impl Latency {
    /// Reads a histogram of nanoseconds; `None` when it is empty.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max() as f64 / 1e3,
            samples: histogram.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spreads() {
        assert_eq!(Figure::of([]), None);
        assert_eq!(Figure::of([3.0]), Some(Figure { median: 3.0, min: 3.0, max: 3.0 }));
        let odd = Figure::of([5.0, 1.0, 4.0]).unwrap();
        assert_eq!((odd.median, odd.spread(), odd.is_doubtful()), (4.0, 1.0, true));
        let even = Figure::of([10.0, 11.0, 10.5, f64::NAN, 10.0]).unwrap();
        assert_eq!((even.median, even.is_doubtful()), (10.25, false));
    }

    #[test]
    fn quantiles() {
        let mut histogram = crate::load::histogram();
        assert_eq!(Latency::of(&histogram), None);
        for value in 1..=1000u64 {
            histogram.saturating_record(value * 1000);
        }
        let latency = Latency::of(&histogram).unwrap();
        assert!((latency.p50 - 500.0).abs() < 1.0 && (latency.p99 - 990.0).abs() < 1.0, "{latency:?}");
        assert_eq!(latency.samples, 1000);
    }
}
