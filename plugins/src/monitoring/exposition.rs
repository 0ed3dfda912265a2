//! Reads what node_exporter says, line by line as it arrives, and keeps what becomes metrics of a node.

use crate::cluster::{Metrics, percent, used};

use super::local::temperature;

/// The longest line that is read; longer ones hold nothing of interest.
const MAX_LINE: usize = 16 * 1024;

/// CPU time over all cores since the node started, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct CpuTime {
    busy: f64,
    total: f64,
}

impl CpuTime {
    /// The part of the time since `earlier` that was busy, in percent. A node that was started anew counts from there.
    pub(super) fn since(self, earlier: Option<Self>) -> f64 {
        let earlier = earlier.filter(|earlier| earlier.total < self.total).unwrap_or_default();
        let total = self.total - earlier.total;
        if total > 0.0 { percent((self.busy - earlier.busy) / total * 100.0) } else { 0.0 }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    /// The beginning of a line whose end has not arrived.
    rest: Vec<u8>,
    cpu: CpuTime,
    memory_total: Option<f64>,
    memory_available: Option<f64>,
    disk_total: f64,
    disk_available: f64,
    sensors: Vec<(String, f32)>,
}

impl Exposition {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            if self.rest.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole);
            }
            bytes = after;
        }
        if self.rest.len() + bytes.len() <= MAX_LINE {
            self.rest.extend_from_slice(bytes);
        } else {
            // Not empty, or the end of the line would pass for a line.
            self.rest = b"#".to_vec();
        }
    }

    fn line(&mut self, line: &[u8]) {
        let Some((name, labels, value)) = std::str::from_utf8(line).ok().and_then(series) else { return };
        let is_root = || label(labels, "mountpoint") == Some("/") && label(labels, "fstype") != Some("rootfs");
        match name {
            "node_cpu_seconds_total" => {
                self.cpu.total += value;
                if !matches!(label(labels, "mode"), Some("idle" | "iowait")) {
                    self.cpu.busy += value;
                }
            }
            "node_memory_MemTotal_bytes" => self.memory_total = Some(value),
            "node_memory_MemAvailable_bytes" => self.memory_available = Some(value),
            // What was mounted last covers what was there before.
            "node_filesystem_size_bytes" if is_root() => self.disk_total = value,
            "node_filesystem_avail_bytes" if is_root() => self.disk_available = value,
            "node_thermal_zone_temp" => self.sensor(label(labels, "type"), value),
            "node_hwmon_temp_celsius" => {
                let chip = label(labels, "chip");
                self.sensor(chip.map(|chip| chip.strip_prefix("platform_").unwrap_or(chip)), value);
            }
            _ => {}
        }
    }

    fn sensor(&mut self, name: Option<&str>, celsius: f64) {
        self.sensors.push((name.unwrap_or_default().to_owned(), celsius as f32));
    }

    /// The metrics, CPU use counted since `earlier`, and the CPU time to count the next from. `None` when this was not
    /// said by a node_exporter.
    pub(super) fn finish(mut self, earlier: Option<CpuTime>) -> Option<(Metrics, CpuTime)> {
        // The last line may lack its end.
        let rest = std::mem::take(&mut self.rest);
        self.line(&rest);
        if self.cpu.total <= 0.0 {
            return None;
        }
        // `as` saturates: what is negative or no number becomes 0.
        let (memory_total, memory_available) = (self.memory_total? as u64, self.memory_available? as u64);
        let (disk_total, disk_available) = (self.disk_total as u64, self.disk_available as u64);
        let metrics = Metrics {
            memory_total,
            memory_available,
            disk_total,
            disk_available,
            temperature: temperature(self.sensors.iter().map(|(name, celsius)| (name.as_str(), *celsius))),
            cpu_usage: self.cpu.since(earlier),
            memory_usage: used(memory_total, memory_available),
            disk_usage: used(disk_total, disk_available),
        };
        Some((metrics, self.cpu))
    }
}

/// The name, the labels between the braces and the value of a line; comments and lines of other forms are none. A time
/// stamp may follow the value.
fn series(line: &str) -> Option<(&str, &str, f64)> {
    let line = line.trim();
    if !line.starts_with("node_") {
        return None;
    }
    let (name, labels, rest) = match line.find('{') {
        Some(open) => {
            let close = line.rfind('}')?;
            (&line[..open], line.get(open + 1..close)?, &line[close + 1..])
        }
        None => {
            let end = line.find([' ', '\t'])?;
            (&line[..end], "", &line[end..])
        }
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    value.is_finite().then_some((name.trim_end(), labels, value))
}

/// The value of one label. The labels asked for here never hold an escaped character in what is looked for.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = labels;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let end = closing_quote(after)?;
        if key.trim_matches([',', ' ']) == name {
            return Some(&after[..end]);
        }
        rest = &after[end + 1..];
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 50
node_cpu_seconds_total{cpu="0",mode="iowait"} 10
node_cpu_seconds_total{cpu="0",mode="user"} 30
node_cpu_seconds_total{cpu="1",mode="system"} 1e+01
node_filesystem_size_bytes{device="rootfs",fstype="rootfs",mountpoint="/"} 1
node_filesystem_size_bytes{device="/dev/a",fstype="ext4",mountpoint="/"} 1000
node_filesystem_size_bytes{device="/dev/b",fstype="ext4",mountpoint="/home"} 9
node_filesystem_avail_bytes{device="a \"} 7",fstype="ext4",mountpoint="/"} 250 1700000000000
node_hwmon_temp_celsius{chip="nvme_nvme0",sensor="temp1"} 60
node_hwmon_temp_celsius{chip="platform_coretemp_0",sensor="temp1"} 45.5
node_hwmon_temp_crit_celsius{chip="platform_coretemp_0",sensor="temp1"} 100
node_memory_MemAvailable_bytes 1.5e+09
node_memory_MemTotal_bytes 2e+09
node_thermal_zone_temp{type="acpitz",zone="0"} 0
"#;

    fn read(text: &str, earlier: Option<CpuTime>) -> Option<(Metrics, CpuTime)> {
        let mut said = Exposition::default();
        said.feed(text.as_bytes());
        said.finish(earlier)
    }

    /// Everything that is shown of a node, wherever its text is cut on its way.
    #[test]
    fn what_node_exporter_says() {
        let (metrics, cpu) = read(SAID, None).unwrap();
        let expected = Metrics {
            memory_total: 2_000_000_000,
            memory_available: 1_500_000_000,
            disk_total: 1_000,
            disk_available: 250,
            temperature: Some(45.5),
            cpu_usage: 40.0,
            memory_usage: 25.0,
            disk_usage: 75.0,
        };
        assert_eq!(metrics, expected);
        for size in [1, 7, 100] {
            let mut said = Exposition::default();
            SAID.as_bytes().chunks(size).for_each(|chunk| said.feed(chunk));
            assert_eq!(said.finish(None), Some((expected.clone(), cpu)));
        }
        assert_eq!(read(SAID.trim_end(), None).unwrap().0, expected, "without the last line's end");
    }

    /// Use is what was busy since the last time; a node that was started anew begins anew.
    #[test]
    fn cpu_use_over_time() {
        let at = |busy, total| CpuTime { busy, total };
        assert_eq!(at(60.0, 200.0).since(Some(at(50.0, 100.0))), 10.0);
        assert_eq!(at(5.0, 10.0).since(Some(at(50.0, 100.0))), 50.0);
        assert_eq!(at(5.0, 10.0).since(Some(at(5.0, 10.0))), 50.0);
        assert_eq!(at(49.0, 110.0).since(Some(at(50.0, 100.0))), 0.0);
        assert_eq!(at(0.0, 0.0).since(None), 0.0);
    }

    /// No thermometer is no temperature; no memory or CPU is no node.
    #[test]
    fn what_is_missing() {
        let without = |word: &str| SAID.lines().filter(|line| !line.contains(word)).collect::<Vec<_>>().join("\n");
        assert_eq!(read(&without("temp"), None).unwrap().0.temperature, None);
        assert_eq!(read(&without("filesystem"), None).unwrap().0.disk_usage, 0.0);
        for word in ["cpu", "MemTotal", "MemAvailable"] {
            assert_eq!(read(&without(word), None), None, "{word}");
        }
    }

    /// Whatever else arrives does no harm and holds no memory.
    #[test]
    fn noise() {
        for text in
            ["", "\n\n", "<html>", "node_x", "node_x{", "node_x} 1{", "node_x{a=\"} 1", "node_cpu_seconds_total NaN"]
        {
            assert_eq!(read(text, None), None, "{text}");
        }
        let mut said = Exposition::default();
        said.feed(SAID.as_bytes());
        for _ in 0..100 {
            said.feed(&[b'x'; 1000]);
            assert!(said.rest.len() <= MAX_LINE);
        }
        said.feed(b"node_memory_MemTotal_bytes 7\n");
        assert_eq!(said.finish(None).unwrap().0.memory_total, 2_000_000_000);
    }
}
