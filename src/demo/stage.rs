//! Where a demonstration plays: a folder with certificates, the books of both sides and a configuration. Starts nothing
//! but the platform.

use crate::sandbox::authority::Certificates;
use crate::sandbox::{Sandbox, SandboxError, SandboxSettings};
use crate::shop::event::TillNumber;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::{fs, io};
use tokio::runtime::Handle;

/// Where the portals' ports begin, and how many there are.
const PORT_FIRST: u16 = 20_000;
const PORTS: u16 = 10_000;

/// How many stages this process has had: no two share a name or begin to look for a port at the same place.
static STAGES: AtomicU16 = AtomicU16::new(0);

/// A folder of our own under the machine's temporary folder; taken away when dropped.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    certificates: Certificates,
    /// Where the portal is to listen.
    pub portal: SocketAddr,
}

impl Stage {
    /// A new folder with new certificates. The portal gets a port that is free now.
    pub fn new() -> Result<Stage, SandboxError> {
        let n = STAGES.fetch_add(1, Ordering::Relaxed);
        let dir = free_name(n);
        let file = |source| SandboxError::File { file: dir.clone(), source };
        fs::create_dir(&dir).map_err(file)?;
        let portal = free_port(n).map_err(file)?;
        let certificates = Certificates::create(&dir)?;
        Ok(Stage { dir, certificates, portal })
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The platform's books.
    pub fn platform_books(&self) -> PathBuf {
        self.file("sandbox.db")
    }

    /// The shop's books.
    pub fn shop_books(&self) -> PathBuf {
        self.file("tillgate.db")
    }

    /// The key with which the shop's box speaks to the platform.
    pub fn key(&self) -> PathBuf {
        self.certificates.shop_box.key.clone()
    }

    /// The settings of a platform whose books and certificates are here.
    pub fn platform(&self) -> SandboxSettings {
        SandboxSettings::within(&self.dir, self.certificates.clone())
    }

    /// Starts a platform whose checkout may stand in a frame of this origin.
    pub fn start_platform(&self, handle: &Handle, framed_by: Option<&str>) -> Result<Sandbox, SandboxError> {
        Sandbox::start(handle, SandboxSettings { allow_framing: framed_by.map(str::to_owned), ..self.platform() })
    }

    /// Writes the configuration of a shop with these tills, which pays at the platform at `api`.
    pub fn write_config(&self, api: SocketAddr, tills: &[(TillNumber, &Path)], more: &str) -> io::Result<PathBuf> {
        let Certificates { ca, shop_box, platform, .. } = &self.certificates;
        let pin: String = platform.pin.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = |path: &Path| format!("{:?}", path.display().to_string());
        let mut text = format!(
            "[shop]\nname = \"Corner Shop\"\ncurrency = \"EUR\"\nlanguage = \"en\"\n\n\
             [limits]\namount_min = \"0.10\"\namount_max = \"1000.00\"\n\n\
             [portal]\nlisten = \"{portal}\"\nurl = \"http://{portal}\"\n\n\
             [platform]\nurl = \"https://{api}\"\nca = {}\ncertificate = {}\nkey = {}\npins = [\"{pin}\"]\n\n\
             [store]\npath = {}\n\n[control]\nsocket = {}\n",
            path(ca),
            path(&shop_box.certificate),
            path(&shop_box.key),
            path(&self.shop_books()),
            path(&self.file("control.sock")),
            portal = self.portal,
        );
        for (number, port) in tills {
            let _ = write!(text, "\n[[till]]\nnumber = {number}\nlabel = \"Front\"\nport = {}\n", path(port));
        }
        text.push_str(more);
        let file = self.file("tillgate.toml");
        fs::write(&file, text)?;
        Ok(file)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir); // What cannot be taken away is the machine's to clear.
    }
}

fn free_name(n: u16) -> PathBuf {
    let boot = crate::clock::Clock::mono().0;
    std::env::temp_dir().join(format!("tillgate-{}-{boot}-{n}", std::process::id()))
}

/// Below the ports that the system gives to connections: a daemon that is started again finds it free.
fn free_port(n: u16) -> io::Result<SocketAddr> {
    let [low, high, ..] = std::process::id().to_le_bytes();
    let from = u16::from_le_bytes([low, high]).wrapping_add(n.wrapping_mul(7));
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for at in 0..64 {
        let port = PORT_FIRST.saturating_add(from.wrapping_add(at) % PORTS);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(listener) => return listener.local_addr(),
            Err(error) => last = error,
        }
    }
    Err(last)
}
