//! Measures the host this Carillon runs on.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use carillon_core::prelude::*;
use sysinfo::{Components, DiskRefreshKind, Disks, System};

use super::collector::{Reading, Source};
use crate::cluster::{Metrics, percent, used};

/// How the names of sensors in a CPU begin. Where none is found, the hottest of the others speaks.
const CPU_SENSORS: [&str; 6] = ["cpu", "coretemp", "k10temp", "soc", "x86_pkg", "zenpower"];

/// The name of this host.
pub(super) fn name() -> String {
    System::host_name().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The host this Carillon runs on.
pub(super) struct Local {
    /// Shared with the thread that measures.
    probe: Arc<Mutex<Probe>>,
}

impl Local {
    /// Finds out what there is to measure, and takes the first sample of the CPU: use is what happened between two.
    pub(super) async fn open() -> Result<Self> {
        let probe = tokio::task::spawn_blocking(Probe::open).await?;
        Ok(Self { probe: Arc::new(Mutex::new(probe)) })
    }
}

impl Source for Local {
    fn total(&self) -> usize {
        1
    }

    /// The kernel answers within a millisecond, but a sick disk or sensor takes its time: so not on threads that serve
    /// clients.
    async fn read(&mut self) -> Result<Vec<Reading>> {
        let probe = Arc::clone(&self.probe);
        let measure = move || probe.lock().unwrap_or_else(PoisonError::into_inner).measure();
        let metrics = tokio::task::spawn_blocking(measure).await?;
        Ok(vec![Reading { node: name(), metrics }])
    }
}

/// What is asked of the kernel. Everything here may block.
struct Probe {
    system: System,
    disks: Disks,
    sensors: Components,
}

impl Probe {
    fn open() -> Self {
        let mut system = System::new();
        system.refresh_cpu_usage();
        // Lists the disks without asking how full they are: one that is out of reach would never answer.
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing());
        Self { system, disks, sensors: Components::new_with_refreshed_list() }
    }

    fn measure(&mut self) -> Metrics {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let (memory_total, memory_available) = (self.system.total_memory(), self.system.available_memory());
        let (disk_total, disk_available) = self.root_disk();
        self.sensors.refresh(false);
        Metrics {
            memory_total,
            memory_available,
            disk_total,
            disk_available,
            temperature: temperature(self.sensors.iter().filter_map(|one| Some((one.label(), one.temperature()?)))),
            cpu_usage: percent(f64::from(self.system.global_cpu_usage())),
            memory_usage: used(memory_total, memory_available),
            disk_usage: used(disk_total, disk_available),
        }
    }

    /// Size and free space of the file system at `/`, in bytes; 0 where the kernel lists none.
    fn root_disk(&mut self) -> (u64, u64) {
        let root = self.disks.list_mut().iter_mut().filter(|disk| disk.mount_point() == Path::new("/"));
        // What was mounted last covers what was there before.
        root.last().map_or((0, 0), |disk| {
            disk.refresh_specifics(DiskRefreshKind::nothing().with_storage());
            (disk.total_space(), disk.available_space())
        })
    }
}

/// The temperature of the machine, of its sensors' names and temperatures: that of the CPU where one is known, the
/// highest of several. A sensor that says 0 or less measures nothing.
pub(super) fn temperature<'a>(sensors: impl Iterator<Item = (&'a str, f32)>) -> Option<f64> {
    let in_cpu = |name: &str| CPU_SENSORS.iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
    let measuring = sensors.filter(|(_, celsius)| *celsius > 0.0 && celsius.is_finite());
    let hottest = measuring
        .map(|(name, celsius)| (in_cpu(name), celsius))
        .max_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    hottest.map(|(_, celsius)| (f64::from(celsius) * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What this very machine says is plausible, and CPU time is measured once some has passed.
    #[tokio::test]
    async fn this_host_is_measured() {
        let mut local = Local::open().await.unwrap();
        let begin = tokio::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(400) {
            std::hint::spin_loop();
        }
        let [Reading { node, metrics }] = &local.read().await.unwrap()[..] else { panic!("one node") };
        assert_eq!(*node, name());
        assert!(metrics.cpu_usage > 0.0 && metrics.cpu_usage <= 100.0, "{metrics:?}");
        assert!(metrics.memory_total > metrics.memory_available && metrics.memory_available > 0, "{metrics:?}");
        assert!(metrics.memory_usage > 0.0 && metrics.memory_usage < 100.0, "{metrics:?}");
        assert!(metrics.disk_total > metrics.disk_available && metrics.disk_usage > 0.0, "{metrics:?}");
        assert!(metrics.temperature.is_none_or(|celsius| celsius > 0.0), "{metrics:?}");
    }

    /// The CPU's sensors go before hotter ones elsewhere, and a dead sensor is none.
    #[test]
    fn which_sensor_speaks() {
        let of = |sensors: &[(&'static str, f32)]| temperature(sensors.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("acpitz temp1", 0.0), ("x", -5.0), ("y", f32::NAN)]), None);
        assert_eq!(of(&[("nvme Composite", 71.0), ("coretemp Core 0", 50.04), ("coretemp Core 1", 51.26)]), Some(51.3));
        assert_eq!(of(&[("nvme Composite", 71.0), ("acpitz temp1", 27.8)]), Some(71.0));
        assert_eq!(of(&[("cpu_thermal temp1", 48.3), ("rp1_adc temp1", 55.0)]), Some(48.3));
    }
}
