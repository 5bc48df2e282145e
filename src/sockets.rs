//! The socket units that hold the portal's ports, so that the daemon needs no right for them and they stay open while it is
//! started anew. Made from the configuration; loads and starts none.

use crate::config::{self, Config, Faults};
use crate::network::settings::NetworkSettings;
use crate::passed::{HTTP, HTTPS};
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// Where systemd looks for what is started with all sockets, below a generator's folder.
const WANTS: &str = "sockets.target.wants";

/// One unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its file's name.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// Where guests come by version 6 as well, the box's own address by that is listened on, too.
pub fn addresses(listen: SocketAddr, network: Option<&NetworkSettings>) -> Vec<SocketAddr> {
    let six = network.and_then(|network| network.guests.ipv6);
    let six = six.filter(|_| listen.is_ipv4()).map(|net| SocketAddr::from((net.addr(), listen.port())));
    std::iter::once(listen).chain(six).collect()
}

/// The units for this configuration. A port 0 gets none: nobody knows it before the daemon.
pub fn units(file: &Path) -> Result<Vec<Unit>, Faults> {
    let (config::Portal { listen, secure, .. }, network) = Config::load_doors(file)?;
    let secure = secure.map(|secure| (HTTPS, secure.listen));
    let doors = std::iter::once((HTTP, listen)).chain(secure).filter(|(_, listen)| listen.port() != 0);
    Ok(doors.map(|(name, listen)| unit(file, name, &addresses(listen, network.as_ref()))).collect())
}

fn unit(file: &Path, name: &str, at: &[SocketAddr]) -> Unit {
    let file = file.display();
    let listen = at.iter().fold(String::new(), |mut lines, address| {
        let _ = writeln!(lines, "ListenStream={address}"); // A string takes all.
        lines
    });
    let text = format!(
        "# Made from {file} at each start of the machine and each `systemctl daemon-reload`.\n\
         [Unit]\n\
         Description=Tillgate: where phones find the portal ({name})\n\
         SourcePath={file}\n\
         ConditionPathExists={file}\n\
         \n\
         [Socket]\n\
         {listen}FileDescriptorName={name}\n\
         Service=tillgate.service\n\
         # The guests' network may come up later.\n\
         FreeBind=yes\n\
         # A daemon that cannot start is started by its own clock, not by each phone.\n\
         TriggerLimitIntervalSec=10\n\
         TriggerLimitBurst=5\n",
    );
    Unit { name: format!("tillgate-{name}.socket"), text }
}

/// Writes units as a generator does: below `folder`, each wanted by all that waits for sockets.
pub fn write(folder: &Path, units: &[Unit]) -> io::Result<()> {
    let wants = folder.join(WANTS);
    std::fs::create_dir_all(&wants)?;
    for Unit { name, text } in units {
        std::fs::write(folder.join(name), text)?;
        let link = wants.join(name);
        let _ = std::fs::remove_file(&link); // There is none in a generator's folder.
        std::os::unix::fs::symlink(Path::new("..").join(name), link)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The listening lines of the units for a file with this text.
    fn listening(text: &str) -> Result<Vec<String>, String> {
        let number = std::thread::current().name().unwrap_or_default().replace(':', "-");
        let file = std::env::temp_dir().join(format!("tillgate-{}-{number}.toml", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let units = units(&file).map_err(|faults| faults.to_string());
        std::fs::remove_file(&file).unwrap();
        let lines = |unit: Unit| {
            let lines = unit.text.lines().filter(|line| line.starts_with("Listen") || line.starts_with("FileD"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        Ok(units?.into_iter().flat_map(lines).collect())
    }

    #[test]
    fn each_address_of_the_portal_has_a_socket_whatever_the_rest_of_the_file_holds() {
        let plain = "[portal]\nlisten = \"192.168.50.1:80\"\nurl = \"http://192.168.50.1\"\n[shop]\nnmae = 3\n";
        assert_eq!(listening(plain).unwrap(), ["ListenStream=192.168.50.1:80", "FileDescriptorName=http"]);
    }

    #[test]
    fn with_tls_and_version_6_there_are_four_doors() {
        let all = "[portal]\nlisten = \"192.168.50.1:80\"\nsecure_listen = \"192.168.50.1:443\"\n\
                   certificate = \"/none.pem\"\nkey = \"/none.key\"\nurl = \"https://pay.shop.example\"\n\
                   [network]\nports = [\"eth1\"]\naddress = \"192.168.50.1/24\"\nuplink = \"eth0\"\n\
                   ipv6 = \"fd12:3456:789a:50::1/64\"\n";
        assert_eq!(
            listening(all).unwrap(),
            [
                "ListenStream=192.168.50.1:80",
                "ListenStream=[fd12:3456:789a:50::1]:80",
                "FileDescriptorName=http",
                "ListenStream=192.168.50.1:443",
                "ListenStream=[fd12:3456:789a:50::1]:443",
                "FileDescriptorName=https",
            ]
        );
    }

    #[test]
    fn a_port_that_nobody_knows_before_has_none_and_a_file_without_a_portal_is_a_fault() {
        assert!(listening("[portal]\nlisten = \"127.0.0.1:0\"\nurl = \"http://a\"\n").unwrap().is_empty());
        assert!(listening("[shop]\n").unwrap_err().contains("[portal]"));
    }
}
