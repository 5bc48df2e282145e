//! Everything together on one machine: a till, a phone, the daemon and a platform. All of it real, none of it kept.

mod auto;
mod page;
pub mod stage;
pub mod visitor;

use crate::config::{Config, Faults};
use crate::daemon::{self, Daemon};
use crate::passed::Passed;
use crate::sandbox::{ACCOUNTS, PASSWORD, Sandbox};
use crate::shop::event::TillNumber;
use crate::till::player::{Player, PlayerSettings};
use serialport::{SerialPort, TTYPort};
use stage::Stage;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use visitor::Failed;

/// The number of the demonstration's till.
const TILL: u16 = 1;

/// A shop that is open, with its platform; and the till's end of its line.
struct Scene {
    stage: Stage,
    platform: Sandbox,
    daemon: Daemon,
    till: Player,
    /// The shop's end, which the daemon opened by name. Held so that the line never hangs up.
    line: TTYPort,
    runtime: Arc<Runtime>,
}

/// Plays: by itself, or with a page at `listen` for whoever wants to play. True: all happened as it should.
pub fn run(listen: SocketAddr, auto: bool) -> Result<bool, Failed> {
    let began = Instant::now();
    if auto {
        let scene = Scene::set(None)?;
        return auto::play(scene, began);
    }
    let listener = TcpListener::bind(listen)
        .map_err(|error| format!("cannot listen on {listen}: {error}; name a free address with --listen"))?;
    let at = listener.local_addr()?;
    let scene = Scene::set(Some(&format!("http://{at}")))?;
    scene.say_what_runs(at, began)?;
    page::serve(scene, listener)?;
    Ok(true)
}

impl Scene {
    /// Starts the platform and the daemon in a new folder, and plugs a till in.
    fn set(framed_by: Option<&str>) -> Result<Scene, Failed> {
        let runtime = Arc::new(daemon::runtime()?);
        let stage = Stage::new()?;
        let platform = stage.start_platform(runtime.handle(), framed_by)?;
        let (till, line) = TTYPort::pair()?;
        let port = PathBuf::from(line.name().ok_or("the pty has no name")?);
        let number = TillNumber::new(TILL).ok_or("no such till number")?;
        let file = stage.write_config(platform.api, &[(number, &port)], "")?;
        let config = Config::load(&file).map_err(|faults: Faults| faults.to_string())?;
        let daemon = Daemon::start(&config, Arc::clone(&runtime), framed_by, Passed::default())?;
        let till = Player::over(till, PlayerSettings::default())?;
        Ok(Scene { stage, platform, daemon, till, line, runtime })
    }

    fn say_what_runs(&self, page: SocketAddr, began: Instant) -> Result<(), Failed> {
        let accounts: Vec<String> = ACCOUNTS.iter().map(|(name, does, _)| format!("{name} ({does})")).collect();
        println!("tillgate demo: ready in {} ms", began.elapsed().as_millis());
        println!();
        println!("  till      number {TILL}, on {}", self.line.name().unwrap_or_default());
        println!("  portal    http://{}/", self.stage.portal);
        println!(
            "  platform  sandbox at https://{} (mutual TLS), checkout http://{}/",
            self.platform.api, self.platform.public
        );
        println!("  faults    http://{}/  switch the platform's faults here", self.platform.admin);
        println!("  books     {}", self.stage.shop_books().display());
        println!("  accounts  the password of each is {PASSWORD}");
        for account in accounts {
            println!("            {account}");
        }
        println!();
        println!("Open http://{page}/  and play a payment. Ctrl-C ends it and takes everything away.");
        Ok(())
    }
}
