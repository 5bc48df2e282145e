//! What `tillgate setup` is told before it asks: flags, and a file of answers. Both become values of the draft; which are
//! right is for `check` to say.

use super::draft::{Draft, NewTill, path, texts};
use crate::config::CREDENTIAL;
use clap::Args;
use std::path::{Path, PathBuf};

/// Where the configuration is by custom.
pub(super) const CONFIG: &str = "/etc/tillgate/tillgate.toml";

/// Make this box a shop's: ask, write the configuration, start the service
///
/// Asks at the terminal, each question with an answer that Enter takes. Listens at the serial ports and guesses what the
/// tills speak; nothing is sent to them. Shows what it will write, checks it as `tillgate check` does, and writes it. Run
/// again it changes only what you change: comments and all else in the file stay.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  sudo tillgate setup
  sudo tillgate setup --answers shop-17.toml --yes
  sudo tillgate setup --yes --listen 60 --shop \"Corner Shop\" --currency EUR
  sudo tillgate setup --yes --till 2,zvt,/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A5E6F7G8-if00-port0

A file of answers is a piece of a configuration, [shop] and so on: what stands in it is put in key by key, and a [[till]] by
its number. It may hold `passphrase` under [network.wifi], which goes to a file of its own. Flags count more than the file.

Exit codes: 0 all is well, 1 nothing was written, 2 the command line or the answers cannot be used, 4 it is written and
something is left to do, which was said")]
pub struct SetupArgs {
    /// The configuration to write
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// Answers, in TOML
    #[arg(long, value_name = "FILE")]
    pub(super) answers: Option<PathBuf>,
    /// Ask nothing: what no flag and no file says stays as it is, or is as usual
    #[arg(long)]
    pub(super) yes: bool,
    /// Write only: start and restart nothing
    #[arg(long)]
    pub(super) no_start: bool,
    /// Listen for tills so long at most
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(super) listen: Option<u64>,
    /// Listen at this serial port only; may be said more than once
    #[arg(long, value_name = "PORT")]
    port: Vec<PathBuf>,
    /// A till whose port is known; may be said more than once
    #[arg(long, value_name = "NUMBER,PROTOCOL,PORT", value_parser = till)]
    till: Vec<KnownTill>,
    #[command(flatten)]
    shop: ShopArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    platform: PlatformArgs,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The shop")]
struct ShopArgs {
    /// Its name, as customers see it
    #[arg(long, value_name = "NAME")]
    shop: Option<String>,
    /// For phones whose own language is not known: en, de, fr, es, zh-Hans or ar
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<String>,
    /// Such as EUR
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The customers' network")]
struct NetworkArgs {
    /// This box is not the router of the customers' phones
    #[arg(long, conflicts_with_all = ["uplink", "guests", "radio", "ssid", "country", "channel", "passphrase_file"])]
    no_network: bool,
    /// The interface on the way to the internet
    #[arg(long, value_name = "INTERFACE")]
    uplink: Option<String>,
    /// An interface that an access point hangs on; may be said more than once
    #[arg(long, value_name = "INTERFACE")]
    guests: Vec<String>,
    /// The box's own radio
    #[arg(long, value_name = "INTERFACE")]
    radio: Option<String>,
    /// The name of its Wi-Fi
    #[arg(long, value_name = "NAME")]
    ssid: Option<String>,
    /// Whose laws of radio hold: two letters, such as DE
    #[arg(long, value_name = "COUNTRY")]
    country: Option<String>,
    /// Such as 1, 6, 11, 36 or 44
    #[arg(long, value_name = "NUMBER")]
    channel: Option<u8>,
    /// A file with the Wi-Fi's password; without it the Wi-Fi is open
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The payment platform")]
struct PlatformArgs {
    /// Its address, such as https://pay.example:8443
    #[arg(long, value_name = "URL")]
    platform: Option<String>,
    /// Who may have signed its certificate, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// This shop's certificate, PEM
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The pins of the platform's keys, or a file with one on each line; may be said more than once
    #[arg(long, value_name = "PIN|FILE")]
    pins: Vec<String>,
}

/// `2,zvt,/dev/ttyUSB0`.
#[derive(Clone, Debug)]
struct KnownTill {
    number: u16,
    protocol: &'static str,
    port: String,
}

/// The protocols, as the configuration writes them.
pub(super) const PROTOCOLS: [&str; 3] = ["plain", "concert", "zvt"];

fn till(text: &str) -> Result<KnownTill, String> {
    let mut parts = text.splitn(3, ',');
    let mut next = || parts.next().map(str::trim).filter(|part| !part.is_empty());
    let (Some(number), Some(protocol), Some(port)) = (next(), next(), next()) else {
        return Err("write number, protocol and port, such as 2,zvt,/dev/ttyUSB0".to_owned());
    };
    let number = number.parse().map_err(|_| format!("{number} is no number of a till"))?;
    let protocol = PROTOCOLS.into_iter().find(|one| *one == protocol);
    let protocol = protocol.ok_or_else(|| format!("a till speaks {}", PROTOCOLS.join(", ")))?;
    Ok(KnownTill { number, protocol, port: port.to_owned() })
}

impl SetupArgs {
    /// The ports that were named; none: all that there are.
    pub(super) fn ports(&self) -> &[PathBuf] {
        &self.port
    }

    /// Whether anything says that this box is the customers' router, or that it is not.
    pub(super) fn no_network(&self) -> bool {
        self.network.no_network
    }

    /// Puts flags and answers into the draft.
    pub(super) fn put_in(&self, draft: &mut Draft) -> Result<(), String> {
        if let Some(file) = &self.answers {
            let text = std::fs::read_to_string(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
            draft.take_in(&text).map_err(|what| format!("{} cannot be used: {what}", file.display()))?;
        }
        let ShopArgs { shop, language, currency } = &self.shop;
        let set = |draft: &mut Draft, section, key, value: &Option<String>| {
            if let Some(value) = value {
                draft.set(section, key, value.as_str());
            }
        };
        set(draft, "shop", "name", shop);
        set(draft, "shop", "language", language);
        set(draft, "shop", "currency", currency);
        self.network.put_in(draft)?;
        self.platform.put_in(draft)?;
        for KnownTill { number, protocol, port } in &self.till {
            let till = NewTill { number: *number, protocol, port: port.clone(), ..NewTill::default() };
            draft.replace_till(&till);
        }
        Ok(())
    }
}

impl NetworkArgs {
    fn put_in(&self, draft: &mut Draft) -> Result<(), String> {
        let set = |draft: &mut Draft, section, key, value: &Option<String>| {
            if let Some(value) = value {
                draft.set(section, key, value.as_str());
            }
        };
        set(draft, "network", "uplink", &self.uplink);
        if !self.guests.is_empty() {
            draft.set("network", "ports", texts(&self.guests));
        }
        set(draft, "network.wifi", "radio", &self.radio);
        set(draft, "network.wifi", "ssid", &self.ssid);
        set(draft, "network.wifi", "country", &self.country);
        if let Some(channel) = self.channel {
            draft.set("network.wifi", "channel", i64::from(channel));
        }
        if let Some(file) = &self.passphrase_file {
            draft.set("network.wifi", "passphrase_file", path(&whole(file)?));
            if draft.get("network.wifi", "security") != Some("wpa3") {
                draft.set("network.wifi", "security", "wpa2");
            }
        }
        Ok(())
    }
}

impl PlatformArgs {
    fn put_in(&self, draft: &mut Draft) -> Result<(), String> {
        if let Some(url) = &self.platform {
            draft.set("platform", "url", url.as_str());
        }
        for (key, file) in [("ca", &self.ca), ("certificate", &self.certificate), ("key", &self.key)] {
            if let Some(file) = file {
                draft.set("platform", key, path(&whole(file)?));
            }
        }
        let mut pins = Vec::new();
        for text in &self.pins {
            pins.extend(read_pins(text)?);
        }
        if !pins.is_empty() {
            draft.set("platform", "pins", texts(&pins));
        }
        Ok(())
    }
}

/// A path that means the same wherever the daemon is started. A credential stays one.
pub(super) fn whole(file: &Path) -> Result<PathBuf, String> {
    if is_credential(file) {
        return Ok(file.to_owned());
    }
    std::path::absolute(file).map_err(|e| format!("{} is no path: {e}", file.display()))
}

/// Whether it is no path, but what systemd gives to the service.
pub(super) fn is_credential(file: &Path) -> bool {
    file.to_str().is_some_and(|text| text.starts_with(CREDENTIAL))
}

/// Pins as they are written, or from a file that has one on each line.
pub(super) fn read_pins(text: &str) -> Result<Vec<String>, String> {
    let is_pin = |word: &str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let words = |text: &str| {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let words = lines.flat_map(|line| line.split([' ', ',', '\t'])).filter(|word| !word.is_empty());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut found = words(text);
    if !found.iter().all(|word| is_pin(word)) {
        let text = std::fs::read_to_string(text.trim())
            .map_err(|e| format!("{text} is neither a pin of 64 hexadecimal digits nor a file with some: {e}"))?;
        found = words(&text);
    }
    match found.iter().find(|word| !is_pin(word)) {
        _ if found.is_empty() => Err(format!("{text} holds no pin")),
        Some(word) => Err(format!("a pin is 64 hexadecimal digits, without colons; this is \"{word}\"")),
        None => Ok(found),
    }
}
