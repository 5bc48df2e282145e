//! One TOML file becomes a typed configuration, or a list of all that is wrong with it. Opens no port and no socket.

mod credential;
mod fault;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
mod network;
mod pair;
mod platform;
mod reader;
mod till;

pub use credential::{MARK as CREDENTIAL, is_credential, is_elsewhere};
pub use fault::{FAULTS_MAX, Fault, Faults};
pub use platform::{NAMED, Named, Platform, Trust};
pub use till::Till;

use crate::network::settings::{Link, NetworkSettings};
use crate::platform::identity::Folder;
use crate::shop::money::{Amount, Currency};
use crate::shop::policy::Policy;
use reader::{At, Reader, Section};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeTable;

/// Where the books are unless the configuration says otherwise.
pub const STORE: &str = "/var/lib/tillgate/tillgate.db";
/// Where a running daemon answers unless the configuration says otherwise.
pub const CONTROL: &str = "/run/tillgate/control.sock";
/// The folder of the backups that the daemon makes, beside the books, and how many it keeps.
const BACKUPS: &str = "backups";
const BACKUPS_KEEP: u32 = 14;
/// The languages that pages can be in.
pub const LANGUAGES: [&str; 6] = ["en", "de", "fr", "es", "zh-Hans", "ar"];

const FILE_BYTES_MAX: usize = 1 << 20;
/// More brackets are opened by no file of ours.
const BRACKETS_MAX: usize = 4_096;
/// So many fit into any stack, however deep they stand in one another.
const BRACKETS_FEW: usize = 32;
/// Room for so many more, each in the one before.
const PARSE_STACK_BYTES: usize = 64 << 20;

/// A configuration in which nothing was found wrong.
#[derive(Clone, Debug)]
pub struct Config {
    /// The shop, as customers see it.
    pub shop: Shop,
    /// Where phones find the portal.
    pub portal: Portal,
    /// Where the money is taken, and how we prove who we are.
    pub platform: Platform,
    /// The file with the books.
    pub store: PathBuf,
    /// Where the daemon keeps backups of it.
    pub backups: Backups,
    /// The socket at which the daemon answers `status` and `backup`.
    pub control: PathBuf,
    /// The guests' Wi-Fi, if this box is its router.
    pub network: Option<NetworkSettings>,
    /// The tills, in the order of the file; one at least.
    pub tills: Vec<Till>,
    /// What is odd but may be right, such as a port that is not plugged in now.
    pub warnings: Vec<Fault>,
    policy: Policy,
}

/// `[shop]`.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Its name, on every page.
    pub name: String,
    /// Its currency.
    pub currency: Currency,
    /// The language of pages for phones whose languages are not known; one of [`LANGUAGES`].
    pub language: String,
    /// The IANA name of its time zone; the machine's own where absent.
    pub time_zone: Option<String>,
    /// What customers accept at log-in, where it is not the text that comes with the program.
    pub terms: Option<String>,
}

/// `[portal]`.
#[derive(Clone, Debug)]
pub struct Portal {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its address as phones see it, absolute, without a slash at the end. https by name if `secure` is there.
    pub url: String,
    /// Where it listens with TLS, and who it is there.
    pub secure: Option<Secure>,
    /// Phones that come by one address, 1 to 1,000.
    pub phones_per_address: u32,
}

/// The portal's certificate, which is for the name in its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secure {
    /// Where it listens with TLS.
    pub listen: SocketAddr,
    /// PEM: its certificate, then those between it and an authority that phones know.
    pub certificate: PathBuf,
    /// PEM: its private key, which belongs to the certificate.
    pub key: PathBuf,
}

/// The backups that the daemon makes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backups {
    /// The folder.
    pub folder: PathBuf,
    /// How many are kept; 0: none are made.
    pub keep: u32,
}

impl Config {
    /// Reads and checks a file. All faults are found at once; nothing is changed.
    pub fn load(file: &Path) -> Result<Config, Faults> {
        let bytes = pair::read(file).map_err(|cause| Faults::Unreadable { file: file.to_owned(), cause })?;
        let wrong = |text: &str, at, what: &str, fix: &str| {
            Faults::Wrong(vec![Fault::at(file, text, at, what.to_owned(), fix.to_owned())])
        };
        if bytes.len() > FILE_BYTES_MAX {
            return Err(wrong("", 0..0, "the file is larger than 1 MiB", "is this the right file?"));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let good = e.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
            wrong(&text, good..good.saturating_add(1), "this is not UTF-8", "save the file as UTF-8")
        })?;
        Config::parse(file, &text)
    }

    /// Checks `text`, which is what `file` holds. Paths in it are looked at on this machine.
    pub fn parse(file: &Path, text: &str) -> Result<Config, Faults> {
        // The parser's own limit of depth can be fooled by brackets closed otherwise than they were opened.
        let brackets = text.bytes().filter(|b| matches!(b, b'[' | b'{')).count();
        if brackets > BRACKETS_MAX {
            let (what, fix) = (format!("there are more than {BRACKETS_MAX} brackets"), "is this the right file?");
            return Err(Faults::Wrong(vec![Fault::at(file, text, 0..0, what, fix.to_owned())]));
        }
        if brackets <= BRACKETS_FEW {
            return Config::parse_here(file, text);
        }
        std::thread::scope(|scope| {
            let parse = std::thread::Builder::new().stack_size(PARSE_STACK_BYTES);
            match parse.spawn_scoped(scope, || Config::parse_here(file, text)) {
                Ok(parsing) => parsing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(cause) => Err(Faults::Unreadable { file: file.to_owned(), cause }),
            }
        })
    }

    fn parse_here(file: &Path, text: &str) -> Result<Config, Faults> {
        let mut reader = Reader::new(file, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let at = error.span().unwrap_or(0..0);
            let what = error.message().replace('\n', ", ");
            reader.fault(&at, what, "write it as TOML: key = value, text in double quotes, [section] on its own line");
        }
        let config = if errors.is_empty() { read(&mut reader, Section::root(&table)) } else { None };
        match (config, reader.into_found()) {
            (Some(config), (faults, warnings)) if faults.is_empty() => Ok(Config { warnings, ..config }),
            (_, (faults, _)) => Err(Faults::Wrong(faults)),
        }
    }

    /// `[network]` alone, for a program that may not read the shop's keys. Looks at no file that the configuration names
    /// but a passphrase of the Wi-Fi. `None`: the file has no such section. What is wrong elsewhere is not its affair.
    pub fn load_network(file: &Path) -> Result<Option<NetworkSettings>, Faults> {
        Config::load_part(file, |reader, root| {
            let portal = root.has("network").then(|| need_doors(reader, root))?;
            network::read(reader, root, portal.as_ref())
        })
    }

    /// Where the portal listens, and `[network]` if the file has it. Looks at no certificate; what is wrong elsewhere does
    /// not matter here.
    pub fn load_doors(file: &Path) -> Result<(Portal, Option<NetworkSettings>), Faults> {
        let missing = || Faults::Wrong(Vec::new());
        let found = Config::load_part(file, |reader, root| {
            let portal = need_doors(reader, root);
            let network = network::read(reader, root, portal.as_ref());
            Some((portal?, network))
        });
        found.and_then(|found| found.ok_or_else(missing))
    }

    /// What `read` makes of the file; a fault if it finds one.
    fn load_part<T>(
        file: &Path,
        read: impl for<'t> FnOnce(&mut Reader<'t>, &mut Section<'t>) -> Option<T>,
    ) -> Result<Option<T>, Faults> {
        let bytes = pair::read(file).map_err(|cause| Faults::Unreadable { file: file.to_owned(), cause })?;
        let text = String::from_utf8_lossy(&bytes);
        let mut reader = Reader::new(file, &text);
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            reader.fault(&error.span().unwrap_or(0..0), error.message(), "see `tillgate check`");
        }
        let mut root = Section::root(&table);
        let part = if errors.is_empty() { read(&mut reader, &mut root) } else { None };
        match reader.into_found() {
            (faults, _) if faults.is_empty() => Ok(part),
            (faults, _) => Err(Faults::Wrong(faults)),
        }
    }

    /// The guests' bridge that this file names, or would by its silence, however wrong all else in it is.
    pub fn bridge_whatever_else(file: &Path) -> Link {
        let bytes = pair::read(file).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let (table, _) = DeTable::parse_recoverable(&text);
        let network = table.get_ref().get("network").and_then(|network| network.get_ref().as_table());
        let name = network.and_then(|network| network.get("bridge")).and_then(|bridge| bridge.get_ref().as_str());
        name.and_then(Link::new).unwrap_or_else(Link::guests)
    }

    /// The directory of the books that this file names, or would by its silence, however wrong all else in it is.
    pub fn state_whatever_else(file: &Path) -> Result<PathBuf, Faults> {
        let bytes = pair::read(file).map_err(|cause| Faults::Unreadable { file: file.to_owned(), cause })?;
        let text = String::from_utf8_lossy(&bytes);
        let (table, _) = DeTable::parse_recoverable(&text);
        let store = table.get_ref().get("store").and_then(|store| store.get_ref().as_table());
        let path = store.and_then(|store| store.get("path")).and_then(|path| path.get_ref().as_str());
        Ok(state_of(Path::new(path.unwrap_or(STORE))))
    }

    /// The rules for the shop.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }
}

fn read<'t>(reader: &mut Reader<'t>, mut root: Section<'t>) -> Option<Config> {
    let shop = reader
        .need_section(&mut root, "shop", "add [shop] with name, currency and language")
        .and_then(|section| read_shop(reader, section));
    let currency = shop.as_ref().map(|s| s.currency);
    let limits = reader
        .need_section(&mut root, "limits", "add [limits] with amount_min and amount_max")
        .and_then(|section| read_limits(reader, section, currency));
    let portal = reader
        .need_section(&mut root, "portal", "add [portal] with listen and url")
        .and_then(|section| read_portal(reader, section));
    let (store, backups) = read_store(reader, &mut root);
    let platform = platform::read(reader, &mut root, &Folder::below(&state_of(&store)));
    let control = read_place(reader, &mut root, "control", "socket", CONTROL);
    let network = network::read(reader, &mut root, portal.as_ref());
    let tills = till::read(reader, &mut root);
    let numbers = tills.iter().map(|t| t.number).collect();
    let policy = currency.map(|currency| Policy::with_defaults(currency, numbers));
    let rules = reader.section(&mut root, "rules");
    let policy = match (policy, rules) {
        (policy, None) => policy,
        (Some(policy), Some(section)) => Some(read_rules(reader, section, policy)),
        (None, Some(_)) => None,
    };
    reader.end(root);
    let (min, max) = limits?;
    let online = network.as_ref().map_or(Duration::ZERO, |net| net.limits.online.min(net.limits.reach_longest));
    let policy = Policy {
        amount_min_minor: min.minor(),
        amount_max_minor: max.minor(),
        online_secs: online.as_secs(),
        ..policy?
    };
    let (shop, portal, platform) = (shop?, portal?, platform?);
    Some(Config { shop, portal, platform, store, backups, control, network, tills, warnings: Vec::new(), policy })
}

fn read_shop<'t>(reader: &mut Reader<'t>, mut shop: Section<'t>) -> Option<Shop> {
    let name = reader.need_text(&mut shop, "name", "Corner Shop");
    let code = reader.need_text(&mut shop, "currency", "EUR");
    let currency = code.and_then(|code| {
        let found = Currency::from_code(code.value);
        if found.is_none() {
            let upper = code.value.to_uppercase();
            let fix = match Currency::from_code(&upper) {
                Some(_) => format!("did you mean \"{upper}\"?"),
                None => "write the three letters of ISO 4217, such as \"EUR\"".to_owned(),
            };
            reader.fault(&code.span, format!("\"{}\" is no currency", code.value), fix);
        }
        found
    });
    let language = reader.need_word(&mut shop, "language", &LANGUAGES.map(|l| (l, l)));
    let zone = reader.text(&mut shop, "time_zone");
    if let Some(zone) = &zone
        && jiff::tz::TimeZone::get(zone.value).is_err()
    {
        let what = format!("this machine knows no time zone \"{}\"", zone.value);
        reader.fault(&zone.span, what, "write it as \"Europe/Berlin\", or install the package tzdata");
    }
    let terms = reader.text(&mut shop, "terms");
    reader.end(shop);
    Some(Shop {
        name: name?.value.to_owned(),
        currency: currency?,
        language: language?.value.to_owned(),
        time_zone: zone.map(|z| z.value.to_owned()),
        terms: terms.map(|t| t.value.to_owned()),
    })
}

fn read_limits<'t>(
    reader: &mut Reader<'t>,
    mut limits: Section<'t>,
    currency: Option<Currency>,
) -> Option<(Amount, Amount)> {
    let texts = ["amount_min", "amount_max"].map(|key| {
        let example = if key == "amount_min" { "1" } else { "500" };
        reader.need_text(&mut limits, key, example)
    });
    reader.end(limits);
    let currency = currency?;
    let [min, max] = texts.map(|text| {
        let At { value, span } = text?;
        match Amount::parse(value, currency) {
            Ok(amount) if amount.minor() > 0 => Some(At { value: amount, span }),
            Ok(_) => {
                reader.fault(&span, "a limit of nothing makes no sense", "write at least the smallest coin");
                None
            }
            Err(cause) => {
                let digits = currency.exponent();
                let fix = format!("write an amount in {currency}, with at most {digits} digits after the point");
                reader.fault(&span, format!("\"{value}\" is no limit: {cause}"), fix);
                None
            }
        }
    });
    let (min, max) = (min?, max?);
    if min.value > max.value {
        let what = format!("no amount is at least {} and at most {}", min.value, max.value);
        reader.fault(&max.span, what, "make amount_max the larger one");
        return None;
    }
    Some((min.value, max.value))
}

fn read_rules<'t>(reader: &mut Reader<'t>, mut rules: Section<'t>, defaults: Policy) -> Policy {
    let mut secs = |reader: &mut Reader<'t>, key, bounds, default| {
        reader.whole(&mut rules, key, bounds).map_or(default, |found| found.value)
    };
    let mut policy = Policy {
        confirm_secs: secs(reader, "confirm_secs", 10..=600, defaults.confirm_secs),
        pair_idle_secs: secs(reader, "pair_idle_secs", 10..=3_600, defaults.pair_idle_secs),
        session_secs: secs(reader, "session_secs", 60..=86_400, defaults.session_secs),
        margin_ms: secs(reader, "margin_secs", 4..=30, defaults.margin_ms / 1_000).saturating_mul(1_000),
        ticket_life_secs: secs(reader, "ticket_life_hours", 1..=168, defaults.ticket_life_secs / 3_600)
            .saturating_mul(3_600),
        doubt_hours_max: secs(reader, "doubt_hours_max", 1..=720, defaults.doubt_hours_max),
        guess_pause_secs: secs(reader, "guess_pause_secs", 10..=3_600, defaults.guess_pause_secs),
        ..defaults
    };
    let mut count = |reader: &mut Reader<'t>, key, bounds, default: u32| {
        let found = reader.whole(&mut rules, key, bounds);
        found.and_then(|found| u32::try_from(found.value).ok()).unwrap_or(default)
    };
    policy.attempts_max = count(reader, "attempts_max", 1..=10, policy.attempts_max);
    policy.guesses_max = count(reader, "guesses_max", 1..=20, policy.guesses_max);
    let unheard = reader.word(&mut rules, "unheard", &[("keep", false), ("refund", true)]);
    let after = reader.whole(&mut rules, "unheard_refund_after_secs", 10..=86_400);
    match (unheard, after) {
        (Some(At { value: true, .. }), Some(after)) => policy.unheard_refund_after_secs = Some(after.value),
        (Some(At { value: true, span }), None) => {
            let what = "money that a till did not hear of goes back, but after which time?";
            reader.fault(&span, what, "add a line such as: unheard_refund_after_secs = 60");
        }
        (Some(At { value: false, .. }) | None, Some(after)) => {
            let what = "`unheard_refund_after_secs` says nothing while money is kept";
            reader.fault(&after.span, what, "write unheard = \"refund\", or take this line away");
        }
        (Some(At { value: false, .. }) | None, None) => {}
    }
    if policy.session_secs < policy.pair_idle_secs {
        let what = "a visit would end before its phone may leave the till";
        reader.fault(&rules.span(), what, "make session_secs at least pair_idle_secs");
    }
    reader.end(rules);
    policy
}

fn read_portal<'t>(reader: &mut Reader<'t>, mut portal: Section<'t>) -> Option<Portal> {
    let listen = reader.need_text(&mut portal, "listen", "192.168.50.1:80");
    let url = reader.need_text(&mut portal, "url", "http://pay.shop.example");
    let secure = ["secure_listen", "certificate", "key"].map(|key| reader.text(&mut portal, key));
    let phones = reader.whole(&mut portal, "phones_per_address", 1..=1_000);
    let phones_per_address = phones.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(1);
    reader.end(portal);
    let listen = listen.and_then(|text| socket(reader, &text));
    let url_at = url.as_ref().map(|text| text.span.clone());
    let url = url.and_then(|text| address(reader, &text, &["http", "https"]));
    let secure = match secure {
        [None, None, None] => Some(None),
        parts => read_secure(reader, parts, url.as_deref().zip(url_at)).map(Some),
    };
    Some(Portal { listen: listen?, url: url?, secure: secure?, phones_per_address })
}

/// The same, with a fault where it cannot be read.
fn need_doors<'t>(reader: &mut Reader<'t>, root: &mut Section<'t>) -> Option<Portal> {
    let portal = reader.section(root, "portal").and_then(|section| read_doors(reader, section));
    if portal.is_none() {
        reader.fault(&(0..0), "where the portal listens cannot be read in [portal]", "see `tillgate check`");
    }
    portal
}

/// Where the portal listens, its files unseen.
fn read_doors<'t>(reader: &mut Reader<'t>, mut portal: Section<'t>) -> Option<Portal> {
    let [listen, url, secure] = ["listen", "url", "secure_listen"].map(|key| reader.text(&mut portal, key));
    let unseen = |listen| Secure { listen, certificate: PathBuf::new(), key: PathBuf::new() };
    let secure = secure.and_then(|text| socket(reader, &text)).map(unseen);
    Some(Portal { listen: socket(reader, &listen?)?, url: url?.value.to_owned(), secure, phones_per_address: 1 })
}

fn socket(reader: &mut Reader<'_>, text: &At<&str>) -> Option<SocketAddr> {
    let found = text.value.parse().ok();
    if found.is_none() {
        let what = format!("\"{}\" is no address to listen at", text.value);
        reader.fault(&text.span, what, "write address and port, such as \"192.168.50.1:80\" or \"[::]:80\"");
    }
    found
}

/// The portal's certificate: all three keys, and the address must be https by a name that the certificate is for.
fn read_secure(
    reader: &mut Reader<'_>,
    parts: [Option<At<&str>>; 3],
    url: Option<(&str, std::ops::Range<usize>)>,
) -> Option<Secure> {
    let [listen, certificate, key] = parts;
    let (Some(listen), Some(certificate), Some(key)) = (&listen, &certificate, &key) else {
        let one = listen.or(certificate).or(key)?;
        let what = "TLS needs `secure_listen`, `certificate` and `key`, all three";
        reader.fault(&one.span, what, "add what is missing; docs/network.md says where a certificate comes from");
        return None;
    };
    let place = socket(reader, listen);
    let [certificate, key] = [certificate, key].map(|text| credential::file(reader, text));
    let (place, certificate, key) = (place?, certificate?, key?);
    check_pair(reader, &certificate, &key);
    let (url, at) = url?;
    let host = url.strip_prefix("https://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    let Some(host) = host.filter(|host| crate::network::settings::Name::new(host).is_some()) else {
        let what = "with a certificate, phones come by https and by name";
        reader.fault(&at, what, "write url = \"https://pay.shop.example\", with the certificate's name");
        return None;
    };
    if !credential::is_elsewhere(&certificate.value)
        && let Ok(chain) = pair::certificates(&certificate.value)
        && !pair::is_for(&chain, host)
    {
        let what = format!("{} is not a certificate for {host}", certificate.value.display());
        reader.fault(&certificate.span, what, "ask for one with the name in `url`");
    }
    Some(Secure { listen: place, certificate: certificate.value, key: key.value })
}

/// The directory of the books is the state directory.
pub fn state_of(store: &Path) -> PathBuf {
    store.parent().unwrap_or(Path::new("/")).to_owned()
}

fn check_pair(reader: &mut Reader<'_>, certificate: &At<PathBuf>, key: &At<PathBuf>) {
    if credential::is_elsewhere(&certificate.value) || credential::is_elsewhere(&key.value) {
        return;
    }
    let chain = pair::certificates(&certificate.value).map_err(|what| {
        reader.fault(&certificate.span, what, "put the certificate that the platform gave this shop there, in PEM");
    });
    let private = pair::private_key(&key.value).map_err(|what| {
        reader.fault(&key.span, what, "put the key that the certificate was made for there, in PEM, readable by us");
    });
    if let (Ok(chain), Ok(private)) = (chain, private)
        && !pair::belong(chain, private)
    {
        let what = format!("{} is not the key of {}", key.value.display(), certificate.value.display());
        reader.fault(&key.span, what, "name the key that the certificate was made for, or ask for a new certificate");
    }
    let open = std::fs::metadata(&key.value).is_ok_and(|m| m.permissions().mode() & 0o007 != 0);
    if open {
        let what = format!("everybody on this machine may read {}", key.value.display());
        reader.warn(&key.span, what, format!("chmod 640 {}", key.value.display()));
    }
}

fn read_store<'t>(reader: &mut Reader<'t>, root: &mut Section<'t>) -> (PathBuf, Backups) {
    let beside = |store: &Path| store.with_file_name(BACKUPS);
    let Some(mut section) = reader.section(root, "store") else {
        let store = PathBuf::from(STORE);
        let backups = Backups { folder: beside(&store), keep: BACKUPS_KEEP };
        return (store, backups);
    };
    let [path, folder] = ["path", "backups"].map(|key| reader.text(&mut section, key));
    let keep = reader.whole(&mut section, "backups_keep", 0..=366);
    reader.end(section);
    let store = path.and_then(|text| absolute(reader, &text)).unwrap_or_else(|| PathBuf::from(STORE));
    let folder = folder.and_then(|text| {
        let folder = absolute(reader, &text)?;
        if !folder.is_dir() && folder != beside(&store) {
            let what = format!("there is no folder {}: no backups are made until it is there", folder.display());
            reader.warn(&text.span, what, "make it, for the daemon's user to write in, or plug its disk in");
        }
        Some(folder)
    });
    let keep = keep.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(BACKUPS_KEEP);
    let backups = Backups { folder: folder.unwrap_or_else(|| beside(&store)), keep };
    (store, backups)
}

fn read_place<'t>(
    reader: &mut Reader<'t>,
    root: &mut Section<'t>,
    name: &'static str,
    key: &'static str,
    default: &str,
) -> PathBuf {
    let Some(mut section) = reader.section(root, name) else { return PathBuf::from(default) };
    let text = reader.text(&mut section, key);
    reader.end(section);
    text.and_then(|text| absolute(reader, &text)).unwrap_or_else(|| PathBuf::from(default))
}

/// A path that means the same wherever the program was started.
fn absolute(reader: &mut Reader<'_>, text: &At<&str>) -> Option<PathBuf> {
    let path = PathBuf::from(text.value);
    if !path.is_absolute() {
        let what = format!("\"{}\" is not a whole path", text.value);
        reader.fault(&text.span, what, "write it from the root on, such as \"/etc/tillgate/gateway.pem\"");
        return None;
    }
    Some(path)
}

/// An absolute address without question mark, fragment or account, and without its last slash.
fn address(reader: &mut Reader<'_>, text: &At<&str>, schemes: &[&str]) -> Option<String> {
    let parsed: Option<hyper::Uri> = text.value.parse().ok();
    let good = parsed.is_some_and(|uri| {
        let scheme = uri.scheme_str().is_some_and(|s| schemes.contains(&s));
        let host = uri.host().is_some_and(|h| !h.is_empty());
        scheme && host && uri.query().is_none() && !text.value.contains(['#', '@'])
    });
    if !good {
        let scheme = schemes.last().copied().unwrap_or("https");
        let what = format!("\"{}\" is no whole address", text.value);
        let fix = format!("begin with {}:// and a host, such as \"{scheme}://pay.example\"", schemes.join(":// or "));
        reader.fault(&text.span, what, fix);
        return None;
    }
    Some(text.value.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests;
