//! A box enrols: the real command against the sandbox on loopback, killed and misled, and a look at what is on its disk.

use rustix::fs::{Gid, Uid};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tillgate::platform::Platform;
use tillgate::platform::channel::Channel;
use tillgate::platform::code::Code;
use tillgate::platform::counter::{Counter, CounterSettings};
use tillgate::platform::enrol::{EnrolError, Remedy, enrol, renew};
use tillgate::platform::identity::{Draft, Folder, Identity, Which};
use tillgate::sandbox::authority::Certificates;
use tillgate::sandbox::{Fault, FaultKind, FaultyCall, Sandbox, SandboxSettings, Times, certificates_given};
use tillgate::shop::time::Wall;
use tokio::runtime::Runtime;

/// Longer than anything here takes on a busy machine.
const WAIT: Duration = Duration::from_secs(60);
/// At how many instants between its beginning and its end the command is killed.
const KILLS: u32 = 48;

#[test]
fn a_box_enrols_with_a_code_and_calls_the_platform() {
    let bed = Bed::new();
    let (state, said) = (bed.state("a"), bed.enrols("a"));
    assert!(said.starts_with(&format!("enrolled at https://{}", bed.sandbox.api)), "{said}");
    assert!(said.contains("renewed by itself") && said.contains("systemctl reload tillgate"), "{said}");
    let identity = identity(&state);
    let counter = bed.counter(&identity);
    assert!(bed.runtime.block_on(counter.probe()).is_ok());
    let there: Vec<_> = std::fs::read_dir(state.join("platform")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(there, ["identity.json"], "nothing is left over");
}

#[test]
fn the_key_never_leaves_the_box_and_only_its_owner_reads_it() {
    let bed = Bed::new();
    let state = bed.state("a");
    // Root puts the files into the hands of whom the state directory belongs to; others have no choice.
    if rustix::process::geteuid().is_root() {
        rustix::fs::chown(&state, Some(Uid::from_raw(12_345)), Some(Gid::from_raw(12_346))).unwrap();
    }
    bed.enrols("a");
    let of = |path: &Path| {
        let there = std::fs::metadata(path).unwrap();
        (there.permissions().mode() & 0o7777, there.uid(), there.gid())
    };
    let (_, user, group) = of(&state);
    assert_eq!(of(&state.join("platform")), (0o700, user, group));
    assert_eq!(of(&state.join("platform/identity.json")), (0o600, user, group));
    let on_disk: Value = serde_json::from_slice(&std::fs::read(state.join("platform/identity.json")).unwrap()).unwrap();
    let key = on_disk["key"].as_str().unwrap().lines().nth(1).unwrap();
    for file in ["sandbox.db", "sandbox.db-wal"] {
        let books = std::fs::read(bed.dir.join(file)).unwrap_or_default();
        assert!(!books.windows(key.len()).any(|w| w == key.as_bytes()), "the platform's {file} has the key");
    }
}

#[test]
fn a_mistyped_code_and_a_bad_address_are_said_before_anything_is_sent() {
    let bed = Bed::new();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let url = format!("https://{}", nobody.local_addr().unwrap());
    let code = bed.code();
    let mistyped = code.replacen(&code[5..6], if &code[5..6] == "7" { "8" } else { "7" }, 1);
    for (url, code, words) in [
        (url.as_str(), mistyped.as_str(), "mistyped"),
        (&url, &code[..38], "32 characters, and this has 31"),
        (&url, "U", "no 'U' in a code"),
        (&url, "", "this has 0"),
        ("http://127.0.0.1", &code, "write https://host"),
        ("127.0.0.1", &code, "write https://host"),
    ] {
        let output = bed.enroll_at(url, "a", code);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{code}: {said}");
    }
    assert!(nobody.accept().is_err(), "nobody was called");
    assert!(!bed.state("a").join("platform").exists(), "and nothing was written");
}

#[test]
fn the_code_can_be_typed_when_it_is_asked_for_and_in_groups() {
    let bed = Bed::new();
    let mut command = bed.command(&bed.url(), "a");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    use std::io::Write;
    writeln!(child.stdin.take().unwrap(), "{}", bed.code().to_lowercase()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let groups = bed.code();
    let output = bed.command(&bed.url(), "b").args(groups.split('-')).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn a_code_that_does_not_count_is_refused_with_the_reason_and_changes_nothing() {
    let bed = Bed::new();
    bed.enrols("a");
    let before = files(&bed.state("a"));
    // The same platform's key, but a code that these books do not have.
    let other = bed.another(&bed.certificates);
    let unknown = bed.runtime.block_on(other.code()).unwrap();
    bed.refused("a", &unknown, 1, "does not know this code");
    let used = bed.code();
    assert_eq!(bed.enroll("b", &used).status.code(), Some(0));
    bed.refused("a", &used, 1, "counts only once");
    assert_eq!(files(&bed.state("a")), before);
}

#[test]
fn a_code_whose_time_is_over_is_refused() {
    let bed = Bed::with(Times { code_secs: 0, ..Times::default() });
    let code = bed.code();
    let until = Instant::now() + Duration::from_millis(2);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    bed.refused("a", &code, 1, "time is over");
}

#[test]
fn guessing_is_stopped_for_a_while_and_then_a_right_code_waits_too() {
    let bed = Bed::new();
    let right = bed.code();
    let other = bed.another(&bed.certificates);
    for _ in 0..5 {
        let wrong = bed.runtime.block_on(other.code()).unwrap();
        bed.refused("a", &wrong, 1, "does not know this code");
    }
    bed.refused("a", &right, 3, "wait a minute");
    assert_eq!(bed.given(), 0);
}

#[test]
fn whoever_has_another_key_is_told_nothing() {
    let bed = Bed::new();
    let strange = Certificates::create(&bed.dir.join("strange")).unwrap();
    let middle = bed.another(&strange);
    let output = bed.enroll_at(&format!("https://{}", middle.enrol), "a", &bed.code());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another key than it should") && said.contains("The code was not sent"), "{said}");
    assert!(!bed.state("a").join("platform/identity.json").exists());
}

#[test]
fn an_address_where_nobody_answers_or_boxes_cannot_enrol_is_said() {
    let bed = Bed::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = bed.enroll_at(&format!("https://{free}"), "a", &bed.code());
    assert!(output.status.code() == Some(3) && text(&output.stderr).contains("cannot be reached"), "{output:?}");
    let output = bed.enroll_at(&format!("{}/elsewhere", bed.url()), "a", &bed.code());
    assert!(
        output.status.code() == Some(1) && text(&output.stderr).contains("not the platform's address"),
        "{output:?}"
    );
    let output = bed.enroll_at(&format!("https://{}", bed.sandbox.api), "a", &bed.code());
    let said = text(&output.stderr);
    // The platform's last word may be lost as it hangs up.
    assert!(said.contains("not the platform's address") || said.contains("has not answered"), "{said}");
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_with_the_same_key() {
    for fault in [FaultKind::DropAnswer, FaultKind::Error500After, FaultKind::Error500] {
        let bed = Bed::new();
        let code = bed.code();
        bed.fault(FaultyCall::Enrol, fault);
        let output = bed.enroll("a", &code);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(3) && said.contains("run this again"), "{fault:?}: {said}");
        assert!(!bed.state("a").join("platform/identity.json").exists());
        assert_eq!(bed.enroll("a", &code).status.code(), Some(0), "{fault:?}");
        assert_eq!(bed.given(), 1, "{fault:?}: one key, one certificate");
        // And once more, as somebody does who did not read to the end.
        let before = files(&bed.state("a"));
        assert_eq!(bed.enroll("a", &code).status.code(), Some(0));
        assert_eq!(files(&bed.state("a")), before);
    }
}

#[test]
fn an_answer_that_cannot_be_used_changes_nothing_and_the_same_code_goes_on() {
    for (call, fault, words) in [
        (FaultyCall::Enrol, FaultKind::Garbage, "breaks the protocol"),
        (FaultyCall::Enrol, FaultKind::OtherKey, "for another key than this box's"),
        (FaultyCall::Platform, FaultKind::Error500, "does not take the certificate it gave"),
    ] {
        let bed = Bed::new();
        bed.enrols("a");
        let before = std::fs::read(bed.state("a").join("platform/identity.json")).unwrap();
        let code = bed.code();
        bed.fault(call, fault);
        bed.refused("a", &code, 1, words);
        assert_eq!(std::fs::read(bed.state("a").join("platform/identity.json")).unwrap(), before, "{fault:?}");
        assert_eq!(bed.enroll("a", &code).status.code(), Some(0), "{fault:?}");
        assert_ne!(std::fs::read(bed.state("a").join("platform/identity.json")).unwrap(), before);
        assert_eq!(bed.given(), 2, "{fault:?}: one for each code");
    }
}

#[test]
fn a_clock_that_is_not_set_or_wrong_is_said_and_the_code_stays_good() {
    let bed = Bed::new();
    let code = Code::parse(&bed.code()).unwrap();
    let folder = Folder::below(&bed.state("a"));
    let now = jiff::Timestamp::now().as_millisecond();
    let at = |now: Option<i64>| bed.runtime.block_on(enrol(&folder, &bed.url(), &code, now.map(Wall)));
    let error = at(None).unwrap_err();
    assert!(matches!(error, EnrolError::ClockNotSet) && error.to_string().contains("Nothing was sent"), "{error}");
    assert!(!bed.state("a").join("platform").exists());
    for wrong in [now - 30 * 86_400_000, now + 400 * 86_400_000] {
        let error = at(Some(wrong)).unwrap_err();
        assert!(matches!(error, EnrolError::ClockWrong { .. }) && error.remedy() == Remedy::Mend, "{error}");
        assert!(error.to_string().contains("timedatectl"), "{error}");
        assert!(folder.identity().unwrap().is_none());
    }
    assert!(at(Some(now)).is_ok());
    assert_eq!(bed.given(), 1);
}

#[test]
fn killed_while_the_platform_answers_or_is_called_for_the_first_time_it_goes_on() {
    let bed = Bed::new();
    bed.enrols("a");
    let old = identity(&bed.state("a"));
    for (call, is_answered) in [(FaultyCall::Enrol, false), (FaultyCall::Platform, true)] {
        let code = bed.code();
        bed.switch(Fault { call, fault: FaultKind::Delay, count: 1, ms: 600_000 });
        let mut child = bed.command(&bed.url(), "a").arg(&code).spawn().unwrap();
        let file = Folder::below(&bed.state("a")).file(Which::Enrolling);
        let wanted = bed.given() + usize::from(!is_answered);
        eventually("the command waits for the platform", || {
            let draft: Option<Value> = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
            draft.is_some_and(|draft| draft["answer"].is_object() == is_answered) && bed.given() >= wanted
        });
        kill(&mut child);
        let given = bed.given();
        assert_eq!(identity(&bed.state("a")).name(), old.name(), "the old one is whole");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // The platform may still wait for the call of the killed one to hold it.
        bed.switch(Fault { call, fault: FaultKind::Delay, count: 0, ms: 0 });
        assert_eq!(bed.enroll("a", &code).status.code(), Some(0), "{call:?}");
        assert_eq!(bed.given(), given, "{call:?}: the same key was certified once");
        assert!(!file.exists());
        std::fs::write(bed.state("a").join("platform/identity.json"), serde_json::to_vec(old.draft()).unwrap())
            .unwrap();
    }
}

#[test]
fn killed_at_any_instant_the_box_is_who_it_was_or_whole_and_new() {
    let bed = Bed::new();
    bed.enrols("a");
    let begun = Instant::now();
    bed.enrols("a");
    let whole = begun.elapsed();
    let mut seen = BTreeSet::new();
    for n in 0..KILLS {
        let old = identity(&bed.state("a")).name();
        let (code, given) = (bed.code(), bed.given());
        let mut child = bed.command(&bed.url(), "a").arg(&code).stdout(Stdio::null()).spawn().unwrap();
        let at = Instant::now() + whole * n / KILLS;
        while Instant::now() < at {
            std::hint::spin_loop();
        }
        kill(&mut child);
        let found = identity(&bed.state("a"));
        let enrolling = Folder::below(&bed.state("a")).file(Which::Enrolling).exists();
        seen.insert((found.name() != old, enrolling));
        assert!(bed.runtime.block_on(bed.counter(&found).probe()).is_ok(), "whoever it is, the platform knows it");
        assert_eq!(bed.enroll("a", &code).status.code(), Some(0), "killed after {n}/{KILLS} of {whole:?}");
        assert_ne!(identity(&bed.state("a")).name(), old);
        assert_eq!(bed.given(), given + 1, "one code, one certificate");
    }
    println!("of (new, unfinished) were seen: {seen:?}; a whole run takes {whole:?}");
    assert!(seen.contains(&(false, false)) && seen.contains(&(false, true)), "{seen:?}");
}

#[test]
fn a_renewal_does_not_write_over_what_somebody_has_enrolled_meanwhile() {
    let bed = Bed::new();
    bed.enrols("a");
    let (folder, first) = (Folder::below(&bed.state("a")), identity(&bed.state("a")));
    bed.enrols("a");
    let second = identity(&bed.state("a"));
    let counter = bed.counter(&first);
    let now = Some(Wall(jiff::Timestamp::now().as_millisecond()));
    let renewed = || bed.runtime.block_on(renew(&folder, &first, counter.channel(), now));
    assert_eq!(renewed().unwrap().name(), second.name());
    assert_eq!(bed.given(), 2, "nobody was asked");
    let file = folder.file(Which::Identity);
    let elsewhere = std::fs::read_to_string(&file).unwrap().replace(second.url(), "https://elsewhere.example");
    std::fs::write(&file, &elsewhere).unwrap();
    assert!(matches!(renewed(), Err(EnrolError::Elsewhere)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), elsewhere);
    // One that is gone or damaged is made good by the next renewal.
    std::fs::write(&file, "scribble").unwrap();
    assert_eq!(renewed().unwrap().name(), identity(&bed.state("a")).name());
    assert_eq!(bed.given(), 3);
}

#[test]
fn two_at_once_do_not_mix_and_a_link_leads_nobody_away() {
    let bed = Bed::new();
    let state = bed.state("a");
    let held = Folder::below(&state).lock().unwrap();
    bed.refused("a", &bed.code(), 3, "another tillgate");
    drop(held);
    std::fs::create_dir(bed.dir.join("away")).unwrap();
    symlink(bed.dir.join("away"), bed.state("b").join("platform")).unwrap();
    bed.refused("b", &bed.code(), 2, "cannot use");
    assert_eq!(std::fs::read_dir(bed.dir.join("away")).unwrap().count(), 0);
}

#[test]
fn a_state_directory_that_is_not_there_is_said() {
    let bed = Bed::new();
    let state = bed.dir.join("nowhere");
    let output = tillgate().args(["enroll", "--state", path(&state), &bed.url(), &bed.code()]).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("no state directory"), "{output:?}");
    assert!(!state.exists());
}

#[test]
fn a_damaged_identity_is_said_and_enrolling_again_mends_it() {
    let bed = Bed::new();
    bed.enrols("a");
    let file = bed.state("a").join("platform/identity.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    for damage in ["", "{}", &whole[..whole.len() / 2], &whole.replace("\"version\": 1", "\"version\": 2")] {
        std::fs::write(&file, damage).unwrap();
        assert!(Folder::below(&bed.state("a")).identity().is_err());
        bed.enrols("a");
        identity(&bed.state("a"));
    }
}

#[test]
fn the_configuration_needs_nothing_of_the_platform_once_the_box_is_enrolled() {
    let bed = Bed::new();
    let check = |platform: &str| {
        let file = bed.dir.join("t.toml");
        let store = bed.state("a").join("tillgate.db");
        let text = CONFIG.replace("STORE", path(&store)).replace("PLATFORM", platform);
        std::fs::write(&file, text).unwrap();
        let output = tillgate().args(["check", "--config", path(&file)]).output().unwrap();
        (output.status.code(), text_of(&output))
    };
    let (code, said) = check("");
    assert!(code == Some(1) && said.contains("not enrolled") && said.contains("tillgate enroll URL CODE"), "{said}");
    let config = bed.dir.join("t.toml");
    let output = tillgate().args(["enroll", "--config", path(&config), &bed.url(), &bed.code()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (platform, wanted, words) in [
        ("", 0, "nothing is wrong"),
        (&format!("[platform]\nurl = \"https://{}\"", bed.sandbox.api), 0, "nothing is wrong"),
        ("[platform]\nurl = \"https://elsewhere.example\"", 0, "warning"),
        ("[platform]\nurl = \"http://elsewhere.example\"", 1, "no whole address"),
        ("[platform]\ncertifcate = \"/a\"", 1, "did you mean `certificate`?"),
        ("[platform]\nkey = \"/a.key\"", 1, "`platform` needs `certificate`"),
        ("platform = 1", 1, "`platform` is a section"),
    ] {
        let (code, said) = check(platform);
        assert!(code == Some(wanted) && said.contains(words), "{platform}: {said}");
    }
    let Certificates { ca, shop_box, platform, .. } = &bed.certificates;
    let pin: String = platform.pin.iter().map(|byte| format!("{byte:02x}")).collect();
    let named = format!(
        "[platform]\nurl = \"https://{}\"\nca = {ca:?}\ncertificate = {:?}\nkey = {:?}\npins = [\"{pin}\"]",
        bed.sandbox.api, shop_box.certificate, shop_box.key
    );
    let (code, said) = check(&named);
    assert!(code == Some(0) && said.contains("what `tillgate enroll` wrote is not used"), "{said}");
    std::fs::write(bed.state("a").join("platform/identity.json"), "scribble").unwrap();
    let (code, said) = check("");
    assert!(code == Some(1) && said.contains("identity.json cannot be used"), "{said}");
}

#[test]
fn the_example_of_enrolling_in_the_document_is_what_the_sandbox_says() {
    let bed = Bed::new();
    let document = std::fs::read_to_string("docs/counter-payment-protocol.md").unwrap();
    let parts: Vec<&str> = document.split("```http-enrol\n").skip(1).map(|p| p.split("```").next().unwrap()).collect();
    let [asked, wanted] = parts[..] else { panic!("a question and an answer") };
    let written = |part: &str| -> Value { serde_json::from_str(part.split_once("\n\n").unwrap().1).unwrap() };
    let code = Code::parse(&bed.code()).unwrap();
    let channel = Channel::first(&bed.url(), code.fingerprint()).unwrap();
    let draft = serde_json::to_value(Draft::new(&bed.url(), "").unwrap()).unwrap();
    let mut body = written(asked);
    assert_eq!(members(&body), ["csr", "secret"]);
    body["secret"] = code.secret().into();
    body["csr"] = draft["request"].clone();
    let (method, path) = asked.split_once(' ').unwrap();
    let (path, _) = path.split_once(' ').unwrap();
    let body = Some(body.to_string().into_bytes());
    let call = channel.call(method.parse().unwrap(), path, body, Duration::ZERO, 1 << 14);
    let answer = bed.runtime.block_on(call).unwrap();
    assert_eq!(wanted.split(' ').nth(1).unwrap(), answer.status.to_string());
    let (real, written) = (serde_json::from_slice::<Value>(&answer.body).unwrap(), written(wanted));
    assert_eq!(members(&real), members(&written));
    assert_eq!(real["pins"][0].as_str().unwrap().len(), written["pins"][0].as_str().unwrap().len());
    assert_eq!(real["time"].as_str().unwrap().len(), written["time"].as_str().unwrap().len());
    assert_eq!(real["url"], format!("https://{}", bed.sandbox.api));
    // The code of the document is the one that the program's own tests read.
    let shown = "7K2M-9QXA-4T00-0G40-R40M-30E2-0918-5GGS";
    assert!(document.contains(shown) && Code::parse(shown).unwrap().secret() == "7K2M9QXA4T");
}

#[test]
fn a_fault_of_a_call_for_certificates_is_for_no_other_call() {
    let bed = Bed::new();
    let set =
        |call| bed.runtime.block_on(bed.sandbox.switch(Fault { call, fault: FaultKind::OtherKey, count: 1, ms: 0 }));
    assert!(set(FaultyCall::Renew) && !set(FaultyCall::Create) && !set(FaultyCall::Connection));
}

const CONFIG: &str = r#"
PLATFORM

[shop]
name = "Corner Shop"
currency = "EUR"
language = "en"

[limits]
amount_min = "0.10"
amount_max = "1000.00"

[portal]
listen = "127.0.0.1:8080"
url = "http://pay.example"

[store]
path = "STORE"

[[till]]
number = 1
port = "/dev/null"
"#;

// Below: how the tests stand, and how they speak.

struct Bed {
    sandbox: Sandbox,
    certificates: Certificates,
    runtime: Runtime,
    dir: PathBuf,
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Bed {
    fn new() -> Bed {
        Bed::with(Times::default())
    }

    fn with(times: Times) -> Bed {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("tillgate-enrol-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let certificates = Certificates::create(&dir.join("tls")).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let settings = SandboxSettings { times, ..SandboxSettings::within(&dir, certificates.clone()) };
        let sandbox = Sandbox::start(runtime.handle(), settings).unwrap();
        Bed { sandbox, certificates, runtime, dir }
    }

    /// Another platform, with books of its own.
    fn another(&self, certificates: &Certificates) -> Sandbox {
        let settings = SandboxSettings {
            db_file: self.dir.join("another.db"),
            ..SandboxSettings::within(&self.dir, certificates.clone())
        };
        Sandbox::start(self.runtime.handle(), settings).unwrap()
    }

    fn url(&self) -> String {
        format!("https://{}", self.sandbox.enrol)
    }

    fn code(&self) -> String {
        self.runtime.block_on(self.sandbox.code()).unwrap()
    }

    /// The state directory of this box.
    fn state(&self, name: &str) -> PathBuf {
        let state = self.dir.join("boxes").join(name);
        std::fs::create_dir_all(&state).unwrap();
        state
    }

    fn command(&self, url: &str, name: &str) -> Command {
        let mut command = tillgate();
        command.args(["enroll", "--state", path(&self.state(name)), url]).stdin(Stdio::null());
        command
    }

    fn enroll_at(&self, url: &str, name: &str, code: &str) -> Output {
        self.command(url, name).arg(code).output().unwrap()
    }

    fn enroll(&self, name: &str, code: &str) -> Output {
        self.enroll_at(&self.url(), name, code)
    }

    fn enrols(&self, name: &str) -> String {
        let output = self.enroll(name, &self.code());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    }

    fn refused(&self, name: &str, code: &str, exit: i32, words: &str) {
        let output = self.enroll(name, code);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(exit) && said.contains(words), "{words}: {:?} {said}", output.status);
    }

    fn switch(&self, fault: Fault) {
        assert!(self.runtime.block_on(self.sandbox.switch(fault)));
    }

    fn fault(&self, call: FaultyCall, fault: FaultKind) {
        self.switch(Fault { call, fault, count: 1, ms: 0 });
    }

    /// How many certificates the platform has given.
    fn given(&self) -> usize {
        certificates_given(&self.dir.join("sandbox.db")).unwrap().len()
    }

    fn counter(&self, identity: &Identity) -> Counter {
        let channel = Channel::with(identity.url(), identity.credentials()).unwrap();
        let settings = CounterSettings { shop_name: "Corner Shop".to_owned(), portal_url: "http://pay".to_owned() };
        Counter::new(channel, settings)
    }
}

fn tillgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    command.env_remove("TILLGATE_LOG").env_remove("JOURNAL_STREAM");
    command
}

fn identity(state: &Path) -> Identity {
    Folder::below(state).identity().unwrap().expect("an identity")
}

/// Each file of the folder with what is in it.
fn files(state: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = std::fs::read_dir(state.join("platform")).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all.map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect();
    all.sort();
    all
}

fn members(body: &Value) -> Vec<&str> {
    body.as_object().unwrap().keys().map(String::as_str).collect()
}

fn kill(child: &mut Child) {
    let _ = child.kill(); // It may have ended.
    child.wait().unwrap();
}

fn eventually(what: &str, mut happens: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT;
    while !happens() {
        assert!(Instant::now() < until, "{what}: not within {WAIT:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
