//! What others hear of the box by multicast DNS, with Avahi's eyes.

use super::bed::{Bed, PLAIN, said, wait};
use tillgate::config::Config;
use tillgate::network::announce::{Announcer, Offer};

const DBUS: &str = r#"<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow send_type="method_call"/><allow eavesdrop="false"/></policy></busconfig>"#;

/// Avahi in a namespace, with a bus of its own; returns its process id.
fn avahi(bed: &mut Bed, place: &str, host: &str) -> u32 {
    let folder = bed.folder.display().to_string();
    std::fs::write(bed.folder.join("dbus.conf"), DBUS).unwrap();
    let conf = format!(
        "[server]\nhost-name={host}\nuse-ipv6=no\nallow-interfaces=eth0\n[wide-area]\n[publish]\n[reflector]\n[rlimits]\n"
    );
    std::fs::write(bed.folder.join(format!("avahi-{place}.conf")), conf).unwrap();
    let script = format!(
        "mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon && \
         dbus-daemon --config-file={folder}/dbus.conf --nopidfile --fork && \
         exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f {folder}/avahi-{place}.conf"
    );
    bed.start(place, "unshare", &["-m", "sh", "-c", &script], &[], &format!("avahi-{place}.log"))
}

/// What Avahi with this process id knows of a kind of service, resolved.
fn browse(avahi: u32, kind: &str) -> String {
    let target = avahi.to_string();
    let args = ["-t", &target, "-m", "-n", "avahi-browse", "--resolve", "--parsable", "--terminate", kind];
    let text = said(&std::process::Command::new("nsenter").args(args).output().unwrap());
    text.lines().filter(|line| line.starts_with('=')).map(|line| format!("{line}\n")).collect()
}

/// Announces from inside the gateway's namespace.
fn announce(bed: &Bed, config: &Config, offers: &[Offer]) -> Announcer {
    bed.machine("gw").run(|| Announcer::start(config.network.as_ref().unwrap(), offers).unwrap())
}

#[test]
fn a_name_that_another_machine_has_is_left_to_it() {
    let mut bed = Bed::new("clash", PLAIN, "");
    let office = avahi(&mut bed, "net", "corner");
    let sees_itself = || {
        let target = office.to_string();
        let asked = ["-t", &target, "-m", "-n", "avahi-resolve", "-4", "-n", "corner.local"];
        said(&std::process::Command::new("nsenter").args(asked).output().unwrap())
    };
    wait(|| sees_itself().contains("198.51.100.1"), sees_itself);
    let config = Config::load(&bed.folder.join("t.toml")).unwrap();
    let till = Offer { instance: "Till 3".to_owned(), kind: "_zvt._tcp".to_owned(), port: 20_007, notes: Vec::new() };
    let announcer = announce(&bed, &config, &[till]);
    let heard = || browse(office, "_zvt._tcp");
    wait(|| heard().contains("198.51.100.2;20007"), heard);
    assert!(!heard().contains(";corner.local;"), "{}", heard());
    assert!(sees_itself().contains("198.51.100.1"), "{}", sees_itself());
    announcer.stop();
    wait(|| heard().is_empty(), heard);
}

#[test]
fn an_address_that_comes_later_is_announced_then() {
    let mut bed = Bed::new("later", PLAIN, "");
    let shop = avahi(&mut bed, "net", "office");
    let address = |what: &str| bed.inside("gw", "ip", &["address", what, "198.51.100.2/24", "dev", "eth0"]);
    assert!(address("delete").status.success());
    let config = Config::load(&bed.folder.join("t.toml")).unwrap();
    let till = Offer { instance: "Till 3".to_owned(), kind: "_zvt._tcp".to_owned(), port: 20_007, notes: Vec::new() };
    let announcer = announce(&bed, &config, &[till]);
    assert_eq!(browse(shop, "_zvt._tcp"), "");
    assert!(said(&address("replace")).is_empty());
    let heard = || browse(shop, "_zvt._tcp");
    wait(|| heard().contains("198.51.100.2;20007"), heard);
    announcer.stop();
}

#[test]
fn the_shop_hears_of_its_tills_and_guests_of_the_portal_until_the_box_takes_its_leave() {
    let mut bed = Bed::new("mdns", PLAIN, "");
    bed.inside("one", "ip", &["address", "add", "192.168.50.20/24", "dev", "eth0"]);
    let (shop, guest) = (avahi(&mut bed, "net", "office"), avahi(&mut bed, "one", "phone"));
    let config = Config::load(&bed.folder.join("t.toml")).unwrap();
    let till = Offer {
        instance: "Till 3".to_owned(),
        kind: "_zvt._tcp".to_owned(),
        port: 20_007,
        notes: vec![("till".to_owned(), "3".to_owned())],
    };
    let announcer = announce(&bed, &config, &[till]);
    let heard = |by: u32, kind: &str, words: &[&str]| {
        wait(|| words.iter().all(|word| browse(by, kind).contains(word)), || format!("{kind}: {}", browse(by, kind)));
    };
    heard(shop, "_zvt._tcp", &["corner.local", "198.51.100.2", "20007", "till=3"]);
    heard(guest, "_http._tcp", &["corner.local", "192.168.50.1;80", "host=pay.shop.example"]);
    assert_eq!(browse(guest, "_zvt._tcp"), "", "guests hear of no till");
    assert_eq!(browse(shop, "_http._tcp"), "", "the guests' portal is not for the shop's network");
    let told = browse(guest, "_http._tcp") + &browse(shop, "_zvt._tcp");
    assert!(
        !browse(guest, "_http._tcp").contains("198.51.100.2"),
        "the other side's address is nobody's business: {told}"
    );
    assert!(!browse(shop, "_zvt._tcp").contains("192.168.50.1"), "{told}");
    announcer.stop();
    wait(
        || browse(shop, "_zvt._tcp").is_empty() && browse(guest, "_http._tcp").is_empty(),
        || "it is still there".to_owned(),
    );
}
