//! What is outside of the machine: the platform, the tills' cables, a folder with the certificates and books. Starts the
//! platform; starts no machine.

use crate::cable::Cable;
use crate::image;
pub(crate) use crate::wait::{LOOK, eventually, pause};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tillgate::demo::stage::Stage;
use tillgate::sandbox::authority::{Authority, For};
use tillgate::shop::event::TillNumber;

/// How long a cashier waits for a customer before the abort key.
pub(crate) const PATIENT: Duration = Duration::from_secs(40);
/// Longer than any sale and its aftermath, power cuts one after another included: a till that knows nothing by then is a
/// defect.
pub(crate) const END: Duration = Duration::from_secs(1_200);
/// Where the machine finds what listens on this one's loopback.
pub(crate) const OUTSIDE: &str = "10.0.2.2";

/// The shipped program.
pub(crate) fn tillgate() -> Command {
    Command::new(image::program())
}

/// Dropped, the platform ends and the folder goes.
pub(crate) struct Town {
    pub(crate) stage: Stage,
    pub(crate) cables: Vec<(TillNumber, Cable)>,
    pub(crate) api: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) pin: String,
    platform: Child,
}

impl Town {
    /// With so many tills, at most three.
    pub(crate) fn new(tills: u16) -> Town {
        let stage = Stage::new().unwrap();
        let (api, public) = (free_port(), free_port());
        let authority = Authority::load(&stage.platform().certificates).unwrap();
        let pair = authority.issue("platform", For::Platform(&[OUTSIDE])).unwrap();
        let pin = pair.pin.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::create_dir(stage.file("platform")).unwrap();
        std::os::unix::fs::symlink(stage.file(""), stage.file("platform/tls")).unwrap();
        let cables =
            (1..=tills).map(|n| (TillNumber::new(n).unwrap(), Cable::new(stage.file(&format!("line-{n}"))))).collect();
        let log = std::fs::File::create(stage.file("platform.log")).unwrap();
        let platform = tillgate()
            .args([
                "sandbox",
                "--admin",
                "127.0.0.1:0",
                "--enrol",
                "127.0.0.1:0",
                "--api",
                &api.to_string(),
                "--public",
                &public.to_string(),
            ])
            .args(["--public-url", &format!("http://{OUTSIDE}:{}", public.port()), "--dir"])
            .arg(stage.file("platform"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let town = Town { stage, cables, api, public, pin, platform };
        eventually("the platform is up", Duration::from_secs(30), || TcpStream::connect(town.public).is_ok());
        town
    }

    pub(crate) fn platform_books(&self) -> PathBuf {
        self.stage.file("platform/sandbox.db")
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.platform.kill();
        let _ = self.platform.wait();
        if std::thread::panicking() {
            let kept =
                std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{}", std::process::id()));
            // The box's own disks are large, and nothing that matters stands on them.
            let _ = Command::new("sh")
                .args(["-c", "mkdir -p \"$1\" && cd \"$0\" && tar -c --exclude='*[a-z].img' . | tar -x -C \"$1\""])
                .arg(self.stage.file(""))
                .arg(&kept)
                .status();
            println!("consoles, logs and books are kept in {}", kept.display());
        }
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
