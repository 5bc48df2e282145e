//! The image that all machines here start from: `packaging/image` with the package, and what the test brings. Made once; starts
//! nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Size of the books' disk: room enough that new sales are taken.
const BOOKS_MIB: u64 = 160;

/// Programs, and the packages that they are in.
const NEEDED: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("mmdebstrap", "mmdebstrap"),
    ("debugfs", "e2fsprogs"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("objcopy", "binutils"),
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Runs a command that must do its work; what it said.
pub(crate) fn does(command: &mut Command) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let done = command.env("PATH", path).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {said}");
    said
}

/// The package, which `tests/machine/run` makes or names.
pub(crate) fn package() -> PathBuf {
    let named = std::env::var_os("TILLGATE_PACKAGE").map(PathBuf::from);
    let deb = named.unwrap_or_else(|| {
        project().join(concat!("target/package/tillgate_", env!("CARGO_PKG_VERSION"), "_amd64.deb"))
    });
    assert!(deb.exists(), "there is no {}, run: packaging/build amd64", deb.display());
    deb
}

/// Where all of this lies, for this process alone.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tillgate-image-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The program as it is shipped, for what is outside of the machine.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = folder().join("shipped");
        does(Command::new("dpkg-deb").arg("-x").arg(package()).arg(&folder));
        folder.join("usr/bin/tillgate")
    })
}

/// A disk; its kernel and initrd lie beside it.
pub(crate) fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        assert!(rustix::process::geteuid().is_root(), "an image is made by root");
        for (tool, package) in NEEDED {
            let there = ["/usr/bin", "/usr/sbin", "/sbin"].iter().any(|dir| Path::new(dir).join(tool).exists());
            assert!(there, "{tool} is missing: apt-get install {package}");
        }
        let folder = folder();
        brings(&folder.join("with"));
        let disk = folder.join("box.img");
        let began = std::time::Instant::now();
        let mut make = Command::new(project().join("packaging/image"));
        does(make.arg(&disk).arg("--deb").arg(package()).arg("--with").arg(folder.join("with")));
        println!("the image was made in {:.0} s", began.elapsed().as_secs_f64());
        disk
    })
}

/// A file beside the image.
pub(crate) fn beside(what: &str) -> PathBuf {
    PathBuf::from(format!("{}.{what}", image().display()))
}

/// A copy for one machine.
pub(crate) fn copy(to: &Path) {
    does(Command::new("cp").arg("--sparse=always").arg(image()).arg(to));
}

/// An empty disk for books.
pub(crate) fn books_disk(disk: &Path) {
    let file = fs::File::create(disk).unwrap();
    file.set_len(BOOKS_MIB << 20).unwrap();
    // Nothing is left to be written behind the test's back.
    let options = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
    does(
        Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-L", "books", "-J", "size=4", "-E", options]).arg(disk),
    );
}

fn put(folder: &Path, name: &str, mode: u32, content: impl AsRef<[u8]>) {
    let file = folder.join(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
}

/// A unit that starts with the machine.
fn unit(folder: &Path, name: &str, text: &str) {
    put(folder, &format!("etc/systemd/system/{name}"), 0o644, text);
    let wants = folder.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink(format!("/etc/systemd/system/{name}"), wants.join(name)).unwrap();
}

/// The books on a disk of their own, and the test's hand and phones.
fn brings(folder: &Path) {
    let fstab = "LABEL=tillgate / ext4 noatime,errors=remount-ro,x-systemd.growfs 0 1\n\
                 LABEL=books /var/lib/tillgate ext4 noatime 0 2\n";
    put(folder, "etc/fstab", 0o644, fstab);
    let inside = folder.join("usr/local/bin/inside");
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    does(Command::new("objcopy").arg("--strip-all").arg(env!("CARGO_BIN_EXE_inside")).arg(&inside));
    unit(folder, "hand.service", "[Service]\nExecStart=/usr/local/bin/inside hand\nRestart=always\nRestartSec=1\n");
    put(folder, "usr/local/bin/guests", 0o755, GUESTS);
    unit(
        folder,
        "guests.service",
        "[Unit]\nBefore=hand.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
        ExecStart=/usr/local/bin/guests\n",
    );
    let phone = "[Unit]\nAfter=guests.service\n[Service]\nRestart=always\nRestartSec=1\n\
                 ExecStart=ip netns exec phone%i /usr/local/bin/inside phone 10.77.0.1:80 %i\n\
                 [Install]\nWantedBy=multi-user.target\n";
    put(folder, "etc/systemd/system/phone@.service", 0o644, phone);
    // The machine is as bare as it may be: nothing fetches anything.
    for timer in
        ["apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "dpkg-db-backup.timer"]
    {
        symlink("/dev/null", folder.join("etc/systemd/system").join(timer)).unwrap();
    }
}

/// A bridge with four phones on it, each in a namespace, and the way out.
const GUESTS: &str = r"#!/bin/sh
set -e
ip link add guests type bridge
ip addr add 10.77.0.1/16 dev guests
ip link set guests up
for n in 1 2 3 4; do
    ip netns add phone$n
    ip link add p$n type veth peer name wlan0 netns phone$n
    ip link set p$n master guests up
    ip -n phone$n link set lo up
    ip -n phone$n link set wlan0 up
    ip -n phone$n link set wlan0 address 02:00:00:00:00:1$n
    ip -n phone$n addr add 10.77.0.1$n/16 dev wlan0
    ip -n phone$n route add default via 10.77.0.1
done
echo 1 >/proc/sys/net/ipv4/ip_forward
nft 'add table ip way; add chain ip way out { type nat hook postrouting priority 100; }; add rule ip way out ip saddr 10.77.0.0/16 ip daddr != 10.77.0.0/16 masquerade'
";
