//! `tillgate setup` as a process at a real terminal with real till programs on its ports, and without one; what it writes is
//! checked, and a daemon starts with it.

use crate::pace::PacedLine;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tillgate::sandbox::authority::Certificates;
use tillgate::sandbox::{Sandbox, SandboxSettings};

/// Longer than anything here takes on a busy machine.
const PATIENCE_SECS: i64 = 60;

/// A folder with the platform's files, where the configuration is to be.
struct Folder {
    path: PathBuf,
    certificates: Certificates,
}

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("tillgate-setup-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let certificates = Certificates::create(&path.join("tls")).unwrap();
        let folder = Folder { path, certificates };
        fs::write(folder.file("tls/platform.pins"), format!("# the platform's key\n{}\n", folder.pin())).unwrap();
        folder
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn config(&self) -> PathBuf {
        self.file("tillgate.toml")
    }

    fn written(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    fn pin(&self) -> String {
        self.certificates.platform.pin.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What an installer with many boxes brings; the box itself is kept within the folder.
    fn answers(&self, more: &str) -> PathBuf {
        let dir = self.path.display();
        let text = format!(
            "[portal]\nlisten = \"127.0.0.1:0\"\nurl = \"http://127.0.0.1\"\n\n[store]\npath = \"{dir}/tillgate.db\"\n\n\
             [control]\nsocket = \"{dir}/control.sock\"\n\n{more}"
        );
        let file = self.file("answers.toml");
        fs::write(&file, text).unwrap();
        file
    }

    /// The platform's part of an answers file.
    fn platform(&self) -> String {
        let dir = self.file("tls");
        let dir = dir.display();
        let pin = self.pin();
        format!(
            "[platform]\nurl = \"https://127.0.0.1:9\"\nca = \"{dir}/ca.pem\"\ncertificate = \"{dir}/box.pem\"\n\
             key = \"{dir}/box.key\"\npins = [\"{pin}\"]\n"
        )
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.arg("setup").arg("--config").arg(self.config()).args(args);
        clean(&mut command);
        command
    }

    /// Without a terminal.
    fn set_up(&self, args: &[&str]) -> Output {
        self.command(args).stdin(Stdio::null()).output().unwrap()
    }

    /// At a terminal.
    fn sit_down(&self, args: &[&str]) -> Terminal {
        Terminal::start(&self.config(), args)
    }

    fn check(&self) -> Output {
        tillgate(&["check", "--config", self.config().to_str().unwrap()])
    }

    /// Starts a daemon and waits until it is ready.
    fn daemon(&self) -> Daemon {
        let socket = self.file("manager.sock");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(PATIENCE_SECS.unsigned_abs()))).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        clean(&mut command);
        command.args(["run", "--config"]).arg(self.config()).env("NOTIFY_SOCKET", socket);
        let null = Stdio::null;
        let daemon = Daemon(command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap());
        let mut word = [0; 256];
        let size = manager.recv(&mut word).expect("the daemon says that it is ready");
        assert!(String::from_utf8_lossy(&word[..size]).contains("READY=1"));
        daemon
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Language and country of the machine say nothing here.
fn clean(command: &mut Command) {
    command.env_remove("TILLGATE_LOG").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command.env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", "fr_CH.UTF-8");
}

fn tillgate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    clean(&mut command);
    command.args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Somebody at a terminal, whose keys make signals as real ones do.
struct Terminal {
    master: File,
    child: Child,
    shown: Vec<u8>,
    read_to: usize,
}

impl Terminal {
    fn start(config: &Path, args: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            rustix::fs::open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let slave = File::from(slave);
        // Makes it the terminal of the process, so that Ctrl-C is what it is.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(env!("CARGO_BIN_EXE_tillgate")).arg("setup").arg("--config").arg(config).args(args);
        clean(&mut command);
        let ends = [slave.try_clone().unwrap(), slave.try_clone().unwrap(), slave];
        let [input, output, errors] = ends.map(Stdio::from);
        let child = command.stdin(input).stdout(output).stderr(errors).spawn().expect("setsid (util-linux)");
        Terminal { master: File::from(master), child, shown: Vec::new(), read_to: 0 }
    }

    /// What is shown from here on, once these words are.
    fn until(&mut self, words: &str) -> String {
        loop {
            let new = text(&self.shown[self.read_to..]);
            if let Some(at) = new.find(words) {
                self.read_to += new[..at + words.len()].len();
                return new[..at].to_owned();
            }
            assert!(self.read(), "it ended without {words:?}:\n{}", text(&self.shown));
        }
    }

    /// More of what it shows; `false`: it has ended.
    fn read(&mut self) -> bool {
        let wait = Timespec { tv_sec: PATIENCE_SECS, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&wait)).unwrap();
        assert!(ready > 0, "nothing more comes after:\n{}", text(&self.shown));
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(count) if count > 0 => {
                self.shown.extend(&bytes[..count]);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn types(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the question and types the answer.
    fn answers(&mut self, question: &str, answer: &str) {
        self.until(question);
        self.until(": ");
        self.types(&format!("{answer}\n"));
    }

    /// All that was shown, and the exit code.
    fn ends(mut self) -> (String, i32) {
        while self.read() {}
        let code = self.child.wait().unwrap().code().expect("it ends by itself");
        (text(&self.shown).replace("\r\n", "\n"), code)
    }
}

/// A till program at its end of a line.
fn till(port: &Path, args: &[&str]) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    command.args(["till", "--port"]).arg(port).args(args);
    let null = Stdio::null;
    Daemon(command.stdin(null()).stdout(null()).stderr(null()).spawn().unwrap())
}

#[test]
fn a_shop_is_asked_for_its_tills_are_heard_and_the_daemon_starts() {
    let folder = Folder::new("whole");
    let lines: Vec<PacedLine> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| {
            fs::create_dir_all(folder.file(name)).unwrap();
            PacedLine::new(&folder.file(name))
        })
        .collect();
    let answers = folder.answers("");
    let mut args = vec!["--no-start", "--answers", answers.to_str().unwrap(), "--listen", "600"];
    let ports: Vec<String> = lines.iter().map(|line| line.at_box.display().to_string()).collect();
    ports.iter().for_each(|port| args.extend(["--port", port]));
    let mut shop = folder.sit_down(&args);
    shop.answers("Name of the shop", "B\u{e4}ckerei M\u{fc}ller");
    assert!(shop.until("Language [3]: ").contains("2  Deutsch"));
    shop.types("de\n");
    // The machine is set to Switzerland.
    shop.answers("Currency [CHF]", "");
    shop.answers("Choose", "1");
    shop.answers("Address of the pages", "");
    shop.answers("Address of the platform", "pay.example");
    shop.until("with https:// before it");
    shop.answers("Address of the platform", "https://127.0.0.1:9/");
    shop.answers("Code [files]", "");
    shop.answers("File (CA, PEM)", "/nowhere/ca.pem");
    shop.until("There is no file /nowhere/ca.pem: copy it there");
    shop.answers("File (CA, PEM)", folder.certificates.ca.to_str().unwrap());
    // The others lie beside it.
    shop.answers("File (certificate, PEM)", "");
    shop.answers("File (key, PEM)", "");
    shop.answers("Pins", "");
    shop.until("Serial ports without a till: 4");
    shop.answers("Shall I listen", "");
    shop.until("Enter ends the listening.");
    let _tills = [
        till(&lines[0].at_till, &["pay", "12.50"]),
        till(&lines[1].at_till, &["--protocol", "concert", "--number", "7", "pay", "12.50"]),
        till(&lines[2].at_till, &["--protocol", "zvt", "pay", "12.50"]),
    ];
    for words in ["port 1: This is Tillgate's own plain protocol", "port 3: This is ZVT", "port 2: This "] {
        shop.read_to = 0;
        shop.until(words);
    }
    shop.types("\n");
    shop.answers("Number of the till [1]", "");
    shop.answers("Name of the till", "Front");
    shop.answers("Number of the till [", "7");
    shop.answers("Name of the till", "");
    shop.answers("Number of the till [2]", "7");
    shop.until("Another till has number 7");
    shop.answers("Number of the till [2]", "");
    shop.answers("Name of the till", "");
    shop.until("Nothing that I know was heard at port 4");
    shop.answers("Choose", "");
    shop.answers("Address of a till on the network", "192.0.2.20");
    shop.answers("Number of the till [3]", "30");
    shop.answers("Name of the till", "");
    shop.answers("Address of a till on the network", "");
    assert!(!folder.config().exists());
    shop.answers("Write it", "");
    let (shown, code) = shop.ends();
    assert_eq!(code, 0, "{shown}");
    let written = folder.written();
    for words in [
        "name = \"B\u{e4}ckerei M\u{fc}ller\"\ncurrency = \"CHF\"\nlanguage = \"de\"\n",
        "url = \"https://127.0.0.1:9\"\n",
        "label = \"Front\"\n",
        "protocol = \"plain\"\n",
        "protocol = \"concert\"\n",
        "port = \"tcp://0.0.0.0:20007\"\npeer = \"192.0.2.20\"\nprotocol = \"zvt\"\n",
    ] {
        assert!(
            written.contains(words) && shown.contains(&format!("+{}", words.lines().next().unwrap())),
            "{words}\n{written}"
        );
    }
    assert_eq!(fs::metadata(folder.config()).unwrap().permissions().mode() & 0o777, 0o644);
    for line in &lines {
        assert_eq!(line.to_till.count(), 0, "nothing is sent to a till");
    }
    let checked = folder.check();
    assert!(checked.status.success() && text(&checked.stdout).contains("4 tills"), "{}", text(&checked.stderr));
    drop(folder.daemon());
}

/// Everything is known; only ports and network are as on any machine.
fn known(folder: &Folder) -> Vec<String> {
    let till = "[[till]]\nnumber = 1\nport = \"/dev/null\"\n";
    let answers = folder.answers(&format!("{}\n{till}", folder.platform()));
    ["--no-start", "--port", "/dev/null", "--answers", answers.to_str().unwrap()].map(str::to_owned).to_vec()
}

/// Presses Enter until nothing more is asked; returns how often.
fn enter_until_written(shop: &mut Terminal, most: usize) -> usize {
    for asked in 0..most {
        shop.until("]: ");
        let shown = text(&shop.shown);
        shop.types("\n");
        if shown.ends_with("Write it [yes]: ") {
            return asked + 1;
        }
    }
    panic!("it goes on asking");
}

#[test]
fn enter_at_every_question_is_a_shop_and_again_changes_nothing() {
    let folder = Folder::new("enter");
    let known = known(&folder);
    let args: Vec<&str> = known.iter().map(String::as_str).collect();
    let mut shop = folder.sit_down(&args);
    enter_until_written(&mut shop, 20);
    let (shown, code) = shop.ends();
    assert_eq!(code, 0, "{shown}");
    let written = folder.written();
    assert!(written.contains("currency = \"CHF\"\nlanguage = \"fr\"\n"), "{written}");
    assert!(folder.check().status.success());
    let mut shop = folder.sit_down(&args);
    shop.answers("Name of the shop [Our shop", "");
    for _ in 0..10 {
        shop.until("]: ");
        shop.types("\n");
    }
    let (shown, code) = shop.ends();
    assert!(code == 0 && shown.contains("Nothing changes in"), "{shown}");
    assert_eq!(folder.written(), written);
}

#[test]
fn a_box_with_a_code_enrols_once_all_is_written_and_the_daemon_starts() {
    let folder = Folder::new("code");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = SandboxSettings::within(&folder.path, folder.certificates.clone());
    let sandbox = Sandbox::start(runtime.handle(), settings).unwrap();
    let code = runtime.block_on(sandbox.code()).unwrap();
    let answers = folder.answers("[[till]]\nnumber = 1\nport = \"/dev/null\"\n");
    let args = ["--no-start", "--port", "/dev/null", "--answers", answers.to_str().unwrap()];
    let mut shop = folder.sit_down(&args);
    for question in ["Name of the shop", "Language", "Currency", "Choose", "Address of the pages"] {
        shop.answers(question, "");
    }
    shop.answers("Address of the platform", &format!("https://{}", sandbox.enrol));
    shop.answers("Code [files]", "0000");
    shop.until("32 characters, and this has 4");
    shop.answers("Code [files]", &code);
    let identity = folder.file("platform/identity.json");
    shop.answers("Address of a till on the network", "");
    shop.until("enrols at");
    shop.until("Write it [yes]: ");
    assert!(!identity.exists() && !folder.config().exists());
    shop.types("\n");
    let (shown, ended) = shop.ends();
    assert!(ended == 0 && shown.contains(&format!("This box is enrolled at https://{}", sandbox.api)), "{shown}");
    let written = folder.written();
    assert!(identity.exists() && !written.contains("platform"), "{written}");
    assert!(folder.check().status.success());
    drop(folder.daemon());
    let mut shop = folder.sit_down(&args);
    for question in ["Name of the shop", "Language", "Currency", "Choose", "Address of the pages"] {
        shop.answers(question, "");
    }
    shop.until("This box is enrolled at");
    shop.answers("Address of a till on the network", "");
    let (shown, ended) = shop.ends();
    assert!(ended == 0 && shown.contains("Nothing changes"), "{shown}");
}

#[test]
fn a_code_that_does_not_count_leaves_what_was_written_and_says_how_to_go_on() {
    let folder = Folder::new("no-code");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = SandboxSettings::within(&folder.path, folder.certificates.clone());
    let sandbox = Sandbox::start(runtime.handle(), settings).unwrap();
    let code = runtime.block_on(sandbox.code()).unwrap();
    let url = format!("https://{}", sandbox.enrol);
    let elsewhere = folder.file("elsewhere");
    fs::create_dir_all(&elsewhere).unwrap();
    assert!(tillgate(&["enroll", "--state", elsewhere.to_str().unwrap(), &url, &code]).status.success());
    let answers = folder.answers("[[till]]\nnumber = 1\nport = \"/dev/null\"\n");
    let mut shop = folder.sit_down(&["--port", "/dev/null", "--answers", answers.to_str().unwrap()]);
    for question in ["Name of the shop", "Language", "Currency", "Choose", "Address of the pages"] {
        shop.answers(question, "");
    }
    shop.answers("Address of the platform", &url);
    shop.answers("Code [files]", &code);
    enter_until_written(&mut shop, 5);
    let (shown, ended) = shop.ends();
    assert_eq!(ended, 4, "{shown}");
    assert!(shown.contains("counts only once") && shown.contains(&format!("{url} CODE")), "{shown}");
    assert!(folder.config().exists() && !folder.file("platform/identity.json").exists());
}

#[test]
fn ctrl_c_and_ctrl_d_at_any_question_write_nothing() {
    let folder = Folder::new("interrupt");
    let known = known(&folder);
    let args: Vec<&str> = known.iter().map(String::as_str).collect();
    let (mut asked, mut whole) = (0, false);
    while !whole {
        for (key, code) in [("\u{3}", 130), ("\u{4}", 1)] {
            let mut shop = folder.sit_down(&args);
            for _ in 0..asked {
                shop.until("]: ");
                shop.types("\n");
            }
            shop.until("]: ");
            whole = text(&shop.shown).ends_with("Write it [yes]: ");
            shop.types(key);
            let (shown, ended) = shop.ends();
            assert!(ended == code && shown.contains("othing was written"), "{asked}: {ended}\n{shown}");
            let left: Vec<_> = fs::read_dir(&folder.path).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(left.len(), 2, "the platform's files and the answers, and not {left:?}");
        }
        asked += 1;
    }
    assert!(asked > 5);
}

#[test]
fn a_file_of_answers_needs_no_terminal_and_the_daemon_starts_with_what_it_makes() {
    let folder = Folder::new("answers");
    let line = folder.file("line");
    fs::create_dir_all(&line).unwrap();
    let line = PacedLine::new(&line);
    let more = format!(
        "[shop]\nname = \"Corner Shop\"\ncurrency = \"JPY\"\n\n[rules]\nconfirm_secs = 90\n\n{}\n[[till]]\nnumber = 5\nport = \"{}\"\n",
        folder.platform(),
        line.at_box.display()
    );
    let answers = folder.answers(&more);
    let args = ["--yes", "--no-start", "--answers", answers.to_str().unwrap()];
    let done = folder.set_up(&args);
    assert_eq!(done.status.code(), Some(0), "{}{}", text(&done.stdout), text(&done.stderr));
    let written = folder.written();
    assert!(written.contains("amount_max = \"100000\"") && written.contains("confirm_secs = 90"), "{written}");
    assert!(folder.check().status.success());
    let daemon = folder.daemon();
    let status = tillgate(&["status", "--socket", folder.file("control.sock").to_str().unwrap()]);
    assert!(status.status.success(), "{}", text(&status.stderr));
    drop(daemon);
    let again = folder.set_up(&args);
    assert!(again.status.success() && text(&again.stdout).contains("Nothing changes"), "{}", text(&again.stdout));
    assert_eq!(folder.written(), written);
}

#[test]
fn a_file_that_a_person_has_changed_keeps_all_but_what_is_asked() {
    let folder = Folder::new("by-hand");
    let till = "[[till]] # by the door\nnumber = 1\nport = \"/dev/null\" # for now\n";
    let answers = folder.answers(&format!("{}\n{till}", folder.platform()));
    let done = folder.set_up(&["--yes", "--no-start", "--answers", answers.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let edited = folder
        .written()
        .replace("name = \"Our shop\"", "name    = 'Our shop'   # for now")
        .replace("[limits]", "# ask Anna\n[limits]");
    fs::write(folder.config(), &edited).unwrap();
    fs::set_permissions(folder.config(), fs::Permissions::from_mode(0o600)).unwrap();
    let done = folder.set_up(&["--yes", "--no-start", "--shop", "Corner Shop", "--till", "1,zvt,/dev/zero"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let expected = edited.replace("'Our shop'", "\"Corner Shop\"").replace("\"/dev/null\"", "\"/dev/zero\"");
    assert_eq!(folder.written(), format!("{expected}protocol = \"zvt\"\n"));
    let shown = text(&done.stdout);
    assert!(shown.contains("-name    = 'Our shop'   # for now\n+name    = \"Corner Shop\"   # for now\n"), "{shown}");
    assert!(!shown.contains("currency = \"EUR\"\n+"), "{shown}");
}

#[test]
fn tills_are_heard_without_a_terminal_too() {
    let folder = Folder::new("heard");
    let places = [folder.file("a"), folder.file("b")];
    let [one, two] = places.each_ref().map(|place| {
        fs::create_dir_all(place).unwrap();
        PacedLine::new(place)
    });
    let answers = folder.answers(&folder.platform());
    let ports = [one.at_box.to_str().unwrap(), two.at_box.to_str().unwrap()];
    let mut command =
        folder.command(&["--yes", "--no-start", "--listen", "600", "--answers", answers.to_str().unwrap()]);
    command.args(["--port", ports[0], "--port", ports[1]]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut setup = Daemon(command.spawn().unwrap());
    let mut shown = setup.0.stdout.take().unwrap();
    let mut said = Vec::new();
    while !text(&said).contains("Press the payment key") {
        let mut byte = [0];
        assert_eq!(shown.read(&mut byte).unwrap(), 1, "{}", text(&said));
        said.push(byte[0]);
    }
    let _tills = [(&one, &["pay", "12.50"][..]), (&two, &["--protocol", "zvt", "register"])]
        .map(|(line, args)| till(&line.at_till, args));
    shown.read_to_end(&mut said).unwrap();
    assert_eq!(setup.0.wait().unwrap().code(), Some(0), "{}", text(&said));
    let written = folder.written();
    assert!(
        written.contains("number = 1 ") && written.contains("number = 2 ") && written.contains("protocol = \"zvt\""),
        "{written}"
    );
}

#[test]
fn the_password_of_the_wi_fi_has_a_file_of_its_own_and_is_never_shown() {
    let folder = Folder::new("wifi");
    let wifi = "[network]\naddress = \"192.168.77.1/24\"\nuplink = \"eth0\"\n[network.wifi]\nradio = \"wlan0\"\ncountry = \"DE\"\n\
                passphrase = \"open sesame\"\n\n[[till]]\nnumber = 1\nport = \"/dev/null\"\n";
    let answers = folder.answers(&format!("{}{wifi}", folder.platform()));
    // Phones come to the box where the guests are.
    fs::write(
        &answers,
        fs::read_to_string(&answers)
            .unwrap()
            .replace("127.0.0.1:0", "192.168.9.9:80")
            .replace("http://127.0.0.1", "http://192.168.9.9"),
    )
    .unwrap();
    let args = ["--yes", "--no-start", "--answers", answers.to_str().unwrap()];
    let done = folder.set_up(&args);
    let shown = text(&done.stdout) + &text(&done.stderr);
    assert!(done.status.success() && !shown.contains("sesame"), "{shown}");
    let written = folder.written();
    for words in [
        "ssid = \"Our shop\"",
        "security = \"wpa2\"",
        "channel = 6",
        "listen = \"192.168.77.1:80\"",
        "url = \"http://192.168.77.1\"",
    ] {
        assert!(written.contains(words), "{words}\n{written}");
    }
    let secret = folder.file("wifi.passphrase");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "open sesame\n");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!written.contains("sesame") && folder.check().status.success());
    let again = folder.set_up(&args);
    assert!(text(&again.stdout).contains("Nothing changes"), "{}", text(&again.stdout));
    let away = folder.set_up(&["--yes", "--no-start", "--no-network"]);
    assert!(away.status.success() && text(&away.stdout).contains("tillgate network clear"), "{}", text(&away.stderr));
    let written = folder.written();
    assert!(!written.contains("network") && written.contains("listen = \"0.0.0.0:80\""), "{written}");
}

#[test]
fn what_cannot_be_used_is_not_written_and_says_what_to_do() {
    let folder = Folder::new("wrong");
    let run = |args: &[&str]| {
        let done = folder.set_up(args);
        (done.status.code(), text(&done.stdout) + &text(&done.stderr))
    };
    let (code, said) = run(&[]);
    assert!(code == Some(2) && said.contains("say --yes"), "{said}");
    for (args, wanted, words) in [
        (&["--answers", "/nowhere/answers.toml"][..], 2, "cannot read /nowhere/answers.toml"),
        (&["--pins", "12:34"], 2, "neither a pin of 64 hexadecimal digits nor a file"),
        (&["--till", "1,opi,/dev/ttyS0"], 2, "a till speaks plain, concert, zvt"),
        (&["--radio", "wlan0", "--no-network"], 2, "cannot be used with"),
        (&["--currency", "EURO", "--till", "1,plain,/dev/null"], 1, "\"EURO\" is no currency"),
        (&["--platform", "pay.example"], 1, "\"pay.example\" is no whole address"),
        (&["--platform", "https://pay.example", "--ca", "/nowhere/ca.pem"], 1, "`platform` needs `certificate`"),
    ] {
        let (code, said) = run(&[&["--yes", "--no-start"], args].concat());
        assert!(code == Some(wanted) && said.contains(words), "{args:?}: {code:?}\n{said}");
        assert!(!folder.config().exists(), "{args:?}");
    }
    fs::write(folder.config(), "[shop\n").unwrap();
    let (code, said) = run(&["--yes", "--no-start"]);
    assert!(code == Some(2) && said.contains("is no TOML; mend it or move it away"), "{said}");
    assert_eq!(folder.written(), "[shop\n");
    fs::write(folder.config(), "[shop]\ncolour = \"green\"\n").unwrap();
    let (code, said) = run(&["--yes", "--no-start", "--till", "1,plain,/dev/null"]);
    assert!(code == Some(1) && said.contains("`shop` has no key `colour`"), "{said}");
    assert_eq!(folder.written(), "[shop]\ncolour = \"green\"\n");
}

#[test]
fn a_shop_without_platform_or_till_is_kept_and_says_what_is_left() {
    let folder = Folder::new("later");
    let done = folder.set_up(&["--yes", "--shop", "Corner Shop"]);
    let shown = text(&done.stdout);
    assert_eq!(done.status.code(), Some(4), "{shown}{}", text(&done.stderr));
    assert!(
        shown.contains("There is no payment platform yet")
            && shown.contains("URL CODE")
            && shown.contains("There is no till yet"),
        "{shown}"
    );
    assert!(folder.written().contains("name = \"Corner Shop\""));
    let till = "[[till]]\nnumber = 1\nport = \"/dev/null\"\n";
    let answers = folder.answers(&format!("{}\n{till}", folder.platform()));
    let done = folder.set_up(&["--yes", "--no-start", "--answers", answers.to_str().unwrap()]);
    assert!(done.status.success() && folder.check().status.success(), "{}", text(&done.stderr));
}
