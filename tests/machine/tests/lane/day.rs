//! A day of the box: a payment, a loop that stands still, memory that runs out, a start in the middle of a payment.

use crate::books;
use crate::machine::{BOOT, Disks, Machine, alone};
use crate::shop::{PORTAL, asks, is_told, opens};
use crate::town::{Town, eventually};
use std::process::Child;
use std::time::{Duration, Instant};
use tillgate::demo::visitor::Visitor;
use tillgate::sandbox::PASSWORD;

/// `WatchdogSec` of the unit.
const WATCHDOG: Duration = Duration::from_secs(30);

#[test]
fn a_box_is_paid_at_stopped_starved_and_started_again_in_the_middle_of_a_payment() {
    let _alone = alone();
    let town = Town::new(3);
    let disks = Disks::new(&town, "day");
    let mut machine = Machine::start(&disks);
    println!("up after {:.0} s", machine.is_up().as_secs_f64());
    machine.eventually("no unit has failed", "test -z \"$(systemctl list-units --state=failed --no-legend)\"");
    assert_eq!(
        machine.tries("systemctl is-active tillgate").1.trim(),
        "inactive",
        "without a configuration nothing runs"
    );
    opens(&mut machine, &town);
    pays(&mut machine, &town, 1, "12.50");
    watchdog(&mut machine);
    pays(&mut machine, &town, 2, "7.30");
    memory(&mut machine);
    pays(&mut machine, &town, 3, "3.20");
    reboot(&mut machine, &town);
    pays(&mut machine, &town, 1, "1.10");
    machine.shut_down();
    let db = books::taken_out(&disks.books, &town.stage.file("taken-out")).unwrap();
    let sales = books::read(&db).unwrap();
    assert_eq!(books::approved(&sales), [1_250, 730, 320, 480, 110]);
    let mut kept: Vec<i64> =
        tillgate::sandbox::books(&town.platform_books()).unwrap().iter().map(|payment| payment.moved_minor).collect();
    kept.sort_unstable();
    assert_eq!(kept, [110, 320, 480, 730, 1_250]);
}

/// A customer confirms; the link to the checkout.
fn confirms(machine: &mut Machine, till: usize) -> String {
    machine.does(&format!("ip netns exec phone{till} inside confirm {PORTAL} {till}"))
}

fn is_paid(till: Child) {
    let (code, text) = is_told(till);
    assert!(code == Some(0) && text.contains("\nPAID"), "{text}");
}

/// A payment from the till's key to the till's receipt.
fn pays(machine: &mut Machine, town: &Town, till: usize, amount: &str) {
    let began = Instant::now();
    let asked = asks(town, till - 1, &["pay", amount]);
    let link = confirms(machine, till);
    machine.does(&format!("ip netns exec phone{till} inside pay {link}"));
    is_paid(asked);
    println!("{amount} paid in {:.1} s", began.elapsed().as_secs_f64());
}

fn main_pid(machine: &mut Machine) -> String {
    machine.does("systemctl show -P MainPID tillgate")
}

/// The whole process stands still, the loop with it: systemd ends it and starts another.
fn watchdog(machine: &mut Machine) {
    let pid = main_pid(machine);
    let began = Instant::now();
    machine.does(&format!("kill -STOP {pid}"));
    machine.eventually("the watchdog bites", "test \"$(systemctl show -P NRestarts tillgate)\" = 1");
    machine.eventually("it runs again", "systemctl --quiet is-active tillgate");
    let took = began.elapsed();
    println!("stopped: it runs again after {:.1} s", took.as_secs_f64());
    assert_ne!(main_pid(machine), pid);
    machine.does("journalctl -u tillgate | grep -q 'Watchdog timeout'");
    assert!(took < WATCHDOG + Duration::from_secs(30), "{took:?}");
}

/// Another program in the same unit gets no more than the unit allows; nor does the daemon itself.
fn memory(machine: &mut Machine) {
    let limit = machine.does("cat /sys/fs/cgroup/system.slice/tillgate.service/memory.max");
    assert_eq!(limit, (256 << 20).to_string());
    let used = machine.does("cat /sys/fs/cgroup/system.slice/tillgate.service/memory.peak 2>/dev/null || cat /sys/fs/cgroup/system.slice/tillgate.service/memory.current");
    println!("the daemon has taken {} KiB at most", used.parse::<u64>().unwrap() / 1_024);
    machine.does(
        "sed -e 's#^Type=.*#Type=exec#; s#^Restart=.*#Restart=no#; /^WatchdogSec/d; /^ExecReload/d; /^\\(Wants\\|After\\)=/d' \
         -e 's#^ExecStart=.*#ExecStart=/usr/local/bin/inside hog#' -e 's#^\\(ExecPaths=.*\\)#\\1 /usr/local/bin#' \
         /lib/systemd/system/tillgate.service >/run/systemd/system/hog.service; systemctl daemon-reload; systemctl start hog",
    );
    machine.eventually("it is ended", "test \"$(systemctl show -P Result hog)\" = oom-kill");
    let most = machine.does("journalctl --quiet -o cat -u hog | sed -n 's/ MiB$//p' | tail -n 1");
    let most: u64 = most.parse().unwrap();
    println!("another program in its unit was ended at {most} MiB");
    assert!((200..256).contains(&most), "{most}");
    let pid = main_pid(machine);
    machine.does("systemctl set-property --runtime tillgate MemoryMax=1M");
    machine.eventually("the daemon is ended", "test \"$(systemctl show -P NRestarts tillgate)\" -gt 1");
    machine.does("systemctl set-property --runtime tillgate MemoryMax=256M");
    machine.eventually("it runs again", "systemctl --quiet is-active tillgate");
    assert_ne!(main_pid(machine), pid);
    machine.does("journalctl -u tillgate | grep -q 'oom-kill'");
}

/// The box is started again while the customer is at the checkout, and pays meanwhile.
fn reboot(machine: &mut Machine, town: &Town) {
    let asked = asks(town, 0, &["pay", "4.80", "--patience", "300"]);
    let link = confirms(machine, 1);
    let boot = machine.does("cat /proc/sys/kernel/random/boot_id");
    machine.does("systemctl --no-block reboot");
    let began = Instant::now();
    let here = link.replace(crate::town::OUTSIDE, "127.0.0.1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut phone = Visitor::new("en");
        phone.open(&here).await.unwrap();
        let token = phone.at.path().rsplit('/').next().unwrap().to_owned();
        phone.send(&token, &[("account", "anna"), ("password", PASSWORD), ("action", "pay")]).await.unwrap();
    });
    machine.is_up();
    println!("up again after {:.0} s", began.elapsed().as_secs_f64());
    assert_ne!(machine.does("cat /proc/sys/kernel/random/boot_id"), boot);
    let (code, text) = is_told(asked);
    if !(code == Some(0) && text.contains("\nPAID")) {
        // Its patience was over, or its line was dead for too long: it asks what became of it.
        println!("the till was told at first: {}", text.trim());
        eventually("the till learns that it is paid", BOOT, || {
            let (code, text) = is_told(asks(town, 0, &["last"]));
            code == Some(0) && text.contains("\nPAID")
        });
    }
}
