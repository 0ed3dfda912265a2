//! Carillon's own `/metrics`, read over HTTP by hand.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Result;

/// One scrape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Value by series, `name{labels}`.
    series: BTreeMap<String, f64>,
    /// Names of the families that are gauges.
    gauges: Vec<String>,
}

impl Metrics {
    /// Scrapes the server at `address`.
    pub(crate) fn scrape(address: SocketAddr) -> Result<Self> {
        Ok(Self::parse(&Self::read(address)?))
    }

    /// The text of one scrape.
    pub(crate) fn read(address: SocketAddr) -> Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream
            .write_all(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("/metrics: no answer")?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("/metrics: {}", head.lines().next().unwrap_or_default()).into());
        }
        Ok(body.to_owned())
    }

    fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines() {
            if let Some(gauge) = line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" gauge")) {
                metrics.gauges.push(gauge.to_owned());
            } else if let Some((series, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse()
                && !line.starts_with('#')
            {
                metrics.series.insert(series.to_owned(), value);
            }
        }
        metrics
    }

    /// The value of one series; 0 where there is none.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.series.get(series).copied().unwrap_or(0.0)
    }

    /// What the counters of `name` have gained since `earlier`, by labels, where they have gained anything.
    pub(crate) fn gains(&self, earlier: &Self, name: &str) -> Vec<(String, f64)> {
        let of_family = self.series.iter().filter_map(|(series, value)| {
            let labels = series.strip_prefix(name).filter(|labels| labels.is_empty() || labels.starts_with('{'))?;
            Some((labels.to_owned(), value - earlier.value(series)))
        });
        of_family.filter(|(_, gain)| *gain > 0.0).collect()
    }

    /// What all counters of `name` have gained since `earlier`.
    pub(crate) fn gain(&self, earlier: &Self, name: &str) -> f64 {
        self.gains(earlier, name).iter().map(|(_, gain)| gain).sum()
    }

    /// Gauges of Carillon's that differ from `earlier`: of the whole, not of the process and its threads.
    pub(crate) fn gauges_off(&self, earlier: &Self) -> Vec<String> {
        let is_ours = |series: &str| {
            let name = series.split('{').next().unwrap_or(series);
            let of_runtime =
                ["process_", "tokio_"].iter().any(|kind| name.trim_start_matches("carillon_").starts_with(kind));
            !of_runtime && self.gauges.iter().any(|gauge| gauge == name)
        };
        let differs = |(series, value): (&String, &f64)| {
            let before = earlier.value(series);
            (is_ours(series) && *value != before).then(|| format!("{series} is {value}, was {before}"))
        };
        self.series.iter().filter_map(differs).collect()
    }

    /// Mean and 99th percentile of what a histogram has observed since `earlier`, over all its labels; the latter is the
    /// bound of its bucket.
    pub(crate) fn histogram(&self, earlier: &Self, name: &str) -> Option<(f64, f64)> {
        let gain =
            |part: &str| self.gains(earlier, &format!("{name}_{part}")).iter().map(|(_, gain)| gain).sum::<f64>();
        let count = gain("count");
        if count <= 0.0 {
            return None;
        }
        let bound = |labels: &str| labels.split_once("le=\"")?.1.split('"').next()?.parse::<f64>().ok();
        let gains = self.gains(earlier, &format!("{name}_bucket"));
        let mut buckets: Vec<_> = gains.iter().filter_map(|(labels, gain)| Some((bound(labels)?, *gain))).collect();
        buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let below = |limit: f64| buckets.iter().filter(|(bound, _)| *bound == limit).map(|(_, gain)| gain).sum::<f64>();
        let p99 =
            buckets.iter().find(|(bound, _)| below(*bound) >= count * 0.99).map_or(f64::INFINITY, |(bound, _)| *bound);
        Some((gain("sum") / count, p99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP carillon_open Open.\n# TYPE carillon_open gauge\ncarillon_open{t=\"a b\"} 3\n\
        # TYPE carillon_tokio_tasks gauge\ncarillon_tokio_tasks 9\n# TYPE carillon_n counter\ncarillon_n{r=\"x\"} 5\n\
        # TYPE carillon_s histogram\ncarillon_s_bucket{n=\"a\",le=\"0.1\"} 59\n\
        carillon_s_bucket{n=\"a\",le=\"+Inf\"} 60\ncarillon_s_bucket{n=\"b\",le=\"0.1\"} 40\n\
        carillon_s_bucket{n=\"b\",le=\"+Inf\"} 40\ncarillon_s_sum{n=\"a\"} 3\ncarillon_s_count{n=\"a\"} 60\n\
        carillon_s_sum{n=\"b\"} 2\ncarillon_s_count{n=\"b\"} 40\n";

    #[test]
    fn series_are_read_and_compared() {
        let (now, before) = (Metrics::parse(TEXT), Metrics::default());
        assert_eq!(now.value("carillon_open{t=\"a b\"}"), 3.0);
        assert_eq!(now.gains(&before, "carillon_n"), [("{r=\"x\"}".to_owned(), 5.0)]);
        assert_eq!(
            now.gauges_off(&before),
            ["carillon_open{t=\"a b\"} is 3, was 0"],
            "not what belongs to the process"
        );
        assert_eq!(now.gauges_off(&now), Vec::<String>::new());
        assert_eq!(now.histogram(&before, "carillon_s"), Some((0.05, 0.1)));
        assert_eq!(now.histogram(&now, "carillon_s"), None);
    }
}
