//! What the kernel says of the daemon in the course of time: memory, files and threads, and whether they grow with sales.

use crate::house::Daemon;
use crate::lane::Scene;

/// Growth of memory for each sale that is still called flat, in bytes.
const BYTES_A_SALE_MAX: f64 = 1_024.0;
/// Or if the whole growth is no more than this: an allocator takes memory in pieces.
const MIB_MAX: f64 = 1.0;
/// Growth of files or threads for each sale that is still called flat.
const THINGS_A_SALE_MAX: f64 = 0.01;
/// This part of the rush is warm-up.
const WARM_UP: f64 = 0.3;

/// The daemon at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    pub(crate) sales: u64,
    pub(crate) kib: u64,
    pub(crate) files: u64,
    pub(crate) threads: u64,
}

impl Watched {
    pub(crate) fn now(daemon: &Daemon, sales: u64) -> Watched {
        Watched { sales, kib: daemon.resident_kib(), files: daemon.open_files(), threads: daemon.threads() }
    }

    pub(crate) fn mib(&self) -> f64 {
        self.kib as f64 / 1_024.0
    }
}

/// All moments of a run.
#[derive(Default)]
pub(crate) struct Watch(Vec<(Scene, Watched)>);

impl Watch {
    pub(crate) fn look(&mut self, daemon: &Daemon, sales: u64, scene: Scene) {
        self.0.push((scene, Watched::now(daemon, sales)));
    }

    /// Most memory in MiB and most files in a scene.
    pub(crate) fn most(&self, scene: Scene) -> (f64, u64) {
        let of = || self.0.iter().filter(|(of, _)| *of == scene).map(|(_, seen)| seen);
        (of().map(Watched::mib).fold(0.0, f64::max), of().map(|seen| seen.files).max().unwrap_or(0))
    }

    /// Prints most and growth. Whether memory stayed within its bound and nothing grew with the sales.
    pub(crate) fn report(&self, mib_max: f64) -> bool {
        let most = self.0.iter().map(|(_, seen)| seen.mib()).fold(0.0, f64::max);
        println!("memory: {most:.1} MiB at most, {mib_max} is the bound");
        let rush: Vec<&Watched> = self.0.iter().filter(|(of, _)| *of == Scene::Rush).map(|(_, seen)| seen).collect();
        let warm = &rush[(rush.len() as f64 * WARM_UP) as usize..];
        let growth = |what: fn(&Watched) -> f64| slope(warm.iter().map(|seen| (seen.sales as f64, what(seen))));
        let bytes = growth(|seen| seen.kib as f64 * 1_024.0);
        let files = growth(|seen| seen.files as f64);
        let threads = growth(|seen| seen.threads as f64);
        let (first, last) = (warm[0], warm[warm.len() - 1]);
        println!(
            "growth with each of {} sales: {bytes:.0} bytes ({:.1} to {:.1} MiB), {files:.4} files, {threads:.4} threads",
            last.sales - first.sales,
            first.mib(),
            last.mib()
        );
        let memory_flat = bytes <= BYTES_A_SALE_MAX || last.mib() - first.mib() <= MIB_MAX;
        let flat = memory_flat && files <= THINGS_A_SALE_MAX && threads <= THINGS_A_SALE_MAX;
        most <= mib_max && flat
    }
}

/// How much y grows with x, by least squares.
fn slope(points: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let n = points.clone().count() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let over = points.clone().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>();
    let under = points.map(|p| (p.0 - x).powi(2)).sum::<f64>();
    if under > 0.0 { over / under } else { 0.0 }
}
