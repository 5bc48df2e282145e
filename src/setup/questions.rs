//! What a shopkeeper is asked about shop, customers' network and platform, in which order and words. Tills are asked about in
//! `tills`.

use super::args::{is_credential, read_pins, whole};
use super::ask::{Stop, Terminal};
use super::draft::{Draft, path, texts};
use super::machine::{Facts, Interface};
use super::usual;
use crate::config::LANGUAGES;
use crate::network::settings::Passphrase;
use crate::platform::code::Code;
use crate::shop::money::Currency;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// A platform at which this box is to enrol once all is written.
#[derive(Debug)]
pub(super) struct Joining {
    pub(super) url: String,
    pub(super) code: Code,
}

/// Shop, network and platform, one after the other.
pub(super) fn ask<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    facts: &Facts,
    config: &Path,
) -> Result<Option<Joining>, Stop> {
    shop(at, draft)?;
    phones(at, draft, facts)?;
    platform(at, draft, config)
}

fn shop<R: BufRead, W: Write>(at: &mut Terminal<R, W>, draft: &mut Draft) -> Result<(), Stop> {
    at.head("The shop")?;
    let now = draft.get("shop", "name").unwrap_or(usual::SHOP).to_owned();
    let name = at.ask("Customers see this name on their phones and receipts.", "Name of the shop", &now, |text| {
        if text.chars().count() > 60 {
            Err("Write a shorter one: at most 60 letters.".into())
        } else {
            Ok(text.to_owned())
        }
    })?;
    draft.set("shop", "name", name);
    let names = [
        "English",
        "Deutsch",
        "fran\u{e7}ais",
        "espa\u{f1}ol",
        "\u{4e2d}\u{6587} (zh-Hans)",
        "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629} (ar)",
    ];
    let choices: Vec<(&str, String)> = LANGUAGES.into_iter().zip(names.map(str::to_owned)).collect();
    let now = LANGUAGES.iter().position(|one| Some(*one) == draft.get("shop", "language")).unwrap_or(0);
    let hint = "Phones show pages in their own language. Which one, where that is none of these?";
    let language = at.choose(hint, "Language", &choices, now)?;
    draft.set("shop", "language", LANGUAGES.get(language).copied().unwrap_or("en"));
    let now = draft.get("shop", "currency").unwrap_or("EUR").to_owned();
    let hint = "The currency of your tills, in three letters: EUR, CHF, GBP, USD ..";
    let currency = at.ask(hint, "Currency", &now, |text| {
        let upper = text.to_uppercase();
        let known = Currency::from_code(&upper).is_some();
        known
            .then_some(upper)
            .ok_or_else(|| format!("\"{text}\" is no currency: write its three letters, such as EUR."))
    })?;
    draft.set("shop", "currency", currency);
    usual::limits(draft);
    Ok(())
}

/// How customers' phones come to the box.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Elsewhere,
    AccessPoint,
    Radio,
}

const WAYS: [Way; 3] = [Way::Elsewhere, Way::AccessPoint, Way::Radio];

fn phones<R: BufRead, W: Write>(at: &mut Terminal<R, W>, draft: &mut Draft, facts: &Facts) -> Result<(), Stop> {
    at.head("The customers' phones")?;
    let radio = facts.radio().map_or_else(|| "none is here".to_owned(), |radio| radio.name.clone());
    let choices = [
        ("router", "through your own router or Wi-Fi, as it is; this box is one more device on it".to_owned()),
        (
            "access-point",
            "through a Wi-Fi access point that is plugged into this box and used for nothing else".to_owned(),
        ),
        ("radio", format!("through the Wi-Fi of this box itself ({radio})")),
    ];
    let now = match (draft.has_section("network.wifi"), draft.has_section("network")) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    };
    loop {
        let chosen = at.choose("How do your customers' phones reach this box?", "Choose", &choices, now)?;
        let way = WAYS.get(chosen).copied().unwrap_or(Way::Elsewhere);
        let nothing = facts.for_guests(facts.uplink.as_deref().unwrap_or_default()).is_empty();
        if way == Way::Radio && facts.radio().is_none() && !draft.has_section("network.wifi") {
            at.say("  This box has no radio that can be seen: plug one in and run this again, or choose another way.")?;
        } else if way == Way::AccessPoint && nothing && !draft.has("network", "ports") {
            at.say("  This box has one network port only: plug in a second (a USB adapter will do) and run this again, or choose another way.")?;
        } else {
            return reached(at, draft, facts, way);
        }
    }
}

fn reached<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    facts: &Facts,
    way: Way,
) -> Result<(), Stop> {
    if way == Way::Elsewhere {
        usual::no_network(draft);
        usual::portal(draft, facts);
        let now = draft.get("portal", "url").unwrap_or_default().to_owned();
        let hint = "Phones open this address; let your router always give this box the same one.";
        let url = at.ask(hint, "Address of the pages", &now, address)?;
        draft.set("portal", "url", url);
        return Ok(());
    }
    let now = draft.get("network", "uplink").or(facts.uplink.as_deref());
    let first = facts.interfaces.iter().find(|one| !one.radio).map(|one| one.name.as_str());
    let now = now.or(first).unwrap_or("eth0").to_owned();
    let here = facts.interfaces.iter().map(shown).collect::<Vec<_>>().join(", ");
    let hint = format!("The network port that leads to your router and the internet. Here are: {here}");
    let uplink = at.ask(&hint, "Port to the internet", &now, |text| interface(facts, text))?;
    draft.set("network", "uplink", uplink.as_str());
    if way == Way::AccessPoint {
        let others: Vec<&str> = facts.for_guests(&uplink).iter().map(|one| one.name.as_str()).collect();
        let now = draft.list("network", "ports");
        let now = if now.is_empty() { others.first().copied().unwrap_or_default().to_owned() } else { now.join(", ") };
        let hint = "The network port that the access point is plugged into; several with commas between them.";
        let ports = at.ask(hint, "Port of the access point", &now, |text| ports(facts, &uplink, text))?;
        draft.set("network", "ports", texts(&ports));
        draft.remove_section("network.wifi");
    } else {
        radio(at, draft, facts)?;
    }
    usual::network(draft, facts);
    usual::portal(draft, facts);
    Ok(())
}

fn radio<R: BufRead, W: Write>(at: &mut Terminal<R, W>, draft: &mut Draft, facts: &Facts) -> Result<(), Stop> {
    const WIFI: &str = "network.wifi";
    if !draft.has(WIFI, "radio") {
        draft.set(WIFI, "radio", facts.radio().map_or("wlan0", |radio| radio.name.as_str()));
    }
    let shop = draft.get("shop", "name").unwrap_or(usual::SHOP);
    let now = draft.get(WIFI, "ssid").map_or_else(|| usual::ssid(shop), str::to_owned);
    let name =
        at.ask("Phones list the Wi-Fi under this name.", "Name of the Wi-Fi", &now, |text| match text.len() {
            1..=32 => Ok(text.to_owned()),
            _ => Err("Write a shorter one: it may have 32 letters, fewer with accents.".to_owned()),
        })?;
    draft.set(WIFI, "ssid", name);
    let now = draft.get(WIFI, "country").or(facts.country.as_deref()).unwrap_or("DE").to_owned();
    let hint = "The country in which the box stands, whose laws of radio hold: DE, FR, CH, US ..";
    let country = at.ask(hint, "Country", &now, |text| {
        let upper = text.to_uppercase();
        let sound = upper.len() == 2 && upper.bytes().all(|b| b.is_ascii_uppercase());
        sound.then_some(upper).ok_or_else(|| "Write the two letters of the country, such as DE.".to_owned())
    })?;
    draft.set(WIFI, "country", country);
    let now = draft.whole(WIFI, "channel").unwrap_or(usual::CHANNEL).to_string();
    let hint = "1, 6 and 11 reach far, 36 and 44 are faster. Take one that your own Wi-Fi does not use.";
    let channel = at.ask(hint, "Channel", &now, |text| match text.parse::<i64>() {
        Ok(number @ (1..=13 | 36..=165)) => Ok(number),
        Ok(_) | Err(_) => Err("Write 1, 6, 11, 36, 40, 44 or 48.".to_owned()),
    })?;
    draft.set(WIFI, "channel", channel);
    let secret = draft.has(WIFI, "passphrase_file") || draft.has(WIFI, "passphrase");
    let hint = "Without a password customers join by one tap. With one, they must read it off a card in the shop.";
    if !at.agree(hint, "Shall it have a password", secret)? {
        draft.set(WIFI, "security", "open");
        draft.remove(WIFI, "passphrase_file");
        draft.remove(WIFI, "passphrase");
        return Ok(());
    }
    let keep = "stays as it is";
    let now = if secret { keep } else { "" };
    let hint = "8 to 63 letters, digits and signs; hang it up in the shop.";
    let password = at.ask(hint, "Password of the Wi-Fi", now, |text| match Passphrase::new(text) {
        _ if secret && text == keep => Ok(None),
        Some(_) => Ok(Some(text.to_owned())),
        None => Err(usual::BAD_PASSPHRASE.to_owned()),
    })?;
    if let Some(password) = password {
        draft.set(WIFI, "passphrase", password);
    }
    if draft.get(WIFI, "security").is_none_or(|word| word == "open") {
        draft.set(WIFI, "security", "wpa2");
    }
    Ok(())
}

/// `eth0 (cable in)`.
fn shown(one: &Interface) -> String {
    let state = match (one.radio, one.carrier) {
        (true, _) => "radio",
        (false, Some(true)) => "cable in",
        (false, Some(false)) => "no cable",
        (false, None) => "off",
    };
    format!("{} ({state})", one.name)
}

fn interface(facts: &Facts, text: &str) -> Result<String, String> {
    let is_here = facts.interfaces.iter().any(|one| one.name == text);
    let all = facts.interfaces.iter().map(|one| one.name.as_str()).collect::<Vec<_>>().join(", ");
    is_here.then(|| text.to_owned()).ok_or_else(|| format!("There is no {text} here. Write one of: {all}."))
}

fn ports(facts: &Facts, uplink: &str, text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        // `eth1.20` is a part of eth1, told apart by a number.
        interface(facts, word.split('.').next().unwrap_or(word))?;
        if word == uplink {
            return Err(format!("{word} leads to the internet: write another one."));
        }
        found.push(word.to_owned());
    }
    if found.is_empty() { Err("Write the name of a network port, such as eth1.".to_owned()) } else { Ok(found) }
}

fn address(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let good = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '?', '#', '@']));
    good.then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "Write it with http:// before it, such as http://192.168.1.20.".to_owned())
}

/// What stands for an answer that is given another time.
const LATER: &str = "later";

fn platform<R: BufRead, W: Write>(
    at: &mut Terminal<R, W>,
    draft: &mut Draft,
    config: &Path,
) -> Result<Option<Joining>, Stop> {
    at.head("The payment platform")?;
    if !draft.names_keys()
        && let Ok(Some(identity)) = draft.identity().identity()
    {
        at.say(format!("\n  This box is enrolled at {}.", identity.url()))?;
        return Ok(None);
    }
    let now = draft.get("platform", "url").unwrap_or(LATER).to_owned();
    let hint = match now == LATER {
        true => "Who takes the money tells you its address, with a code or files. Enter if you have none yet.",
        false => "Who takes the money tells you its address and gives you files.",
    };
    let url = at.ask(hint, "Address of the platform", &now, |text| {
        let rest = text.strip_prefix("https://");
        match rest {
            _ if text == LATER => Ok(None),
            Some(rest) if !rest.is_empty() && !rest.contains([' ', '?', '#', '@']) => Ok(Some(text.to_owned())),
            Some(_) | None => Err("Write it as the platform says it, with https:// before it.".to_owned()),
        }
    })?;
    let Some(url) = url else { return Ok(None) };
    let url = url.trim_end_matches('/').to_owned();
    if !draft.names_keys()
        && let Some(code) = at.ask(CODE, "Code", FILES, code)?
    {
        return Ok(Some(Joining { url, code }));
    }
    let before = draft.clone();
    draft.set("platform", "url", url);
    if !files(at, draft, config)? {
        *draft = before;
        at.say("  The platform stays as it was.")?;
    }
    Ok(None)
}

const CODE: &str = "The code that the platform shows, for this box alone. Enter if it has given you files instead.";
/// What stands for: there is no code.
const FILES: &str = "files";

fn code(text: &str) -> Result<Option<Code>, String> {
    if text == FILES {
        return Ok(None);
    }
    Code::parse(text).map(Some).map_err(|error| format!("{error}."))
}

/// The files that people look after; `false`: later.
fn files<R: BufRead, W: Write>(at: &mut Terminal<R, W>, draft: &mut Draft, config: &Path) -> Result<bool, Stop> {
    let mut folder = config.parent().unwrap_or(Path::new("/etc/tillgate")).to_owned();
    let files: [(&str, &[&str], &str, &str); 3] = [
        ("ca", &["platform-ca.pem", "ca.pem"], "The certificate by which we know the platform.", "File (CA, PEM)"),
        (
            "certificate",
            &["gateway.pem", "box.pem"],
            "The certificate that the platform made for this shop.",
            "File (certificate, PEM)",
        ),
        (
            "key",
            &["gateway.key", "box.key"],
            "The private key of that certificate: keep it to this box; or credential:platform.key (docs/install.md).",
            "File (key, PEM)",
        ),
    ];
    for (key, names, hint, question) in files {
        let near = names.iter().map(|name| folder.join(name)).find(|file| file.exists());
        let usual = near.unwrap_or_else(|| folder.join(names.first().copied().unwrap_or_default()));
        let now = draft.get("platform", key).map_or_else(|| path(&usual), str::to_owned);
        let Some(file) = at.ask(hint, question, &now, file)? else { return Ok(false) };
        // The next file is most likely beside this one.
        if !is_credential(&file) {
            folder = file.parent().unwrap_or(&folder).to_owned();
        }
        draft.set("platform", key, path(&file));
    }
    let now = draft.list("platform", "pins").join(" ");
    let near = ["platform.pins", "pins"].map(|name| folder.join(name)).into_iter().find(|file| file.exists());
    let now = match near {
        Some(file) if now.is_empty() => path(&file),
        Some(_) | None => now,
    };
    let hint =
        "The pins of the platform's keys, as it publishes them: 64 digits and letters each; or a file with them.";
    let pins = at.ask(hint, "Pins", &now, |text| {
        if text.is_empty() {
            Err("Write at least one pin; the platform tells you.".to_owned())
        } else {
            read_pins(text)
        }
    })?;
    draft.set("platform", "pins", texts(&pins));
    Ok(true)
}

/// A file that is there; `None`: later.
fn file(text: &str) -> Result<Option<PathBuf>, String> {
    if text == LATER {
        return Ok(None);
    }
    let file = whole(Path::new(text))?;
    let absent = || {
        format!("There is no file {}: copy it there and press Enter, write where it is, or {LATER}.", file.display())
    };
    if is_credential(&file) || file.is_file() { Ok(Some(file)) } else { Err(absent()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn facts() -> Facts {
        let one = |name: &str, radio, carrier| Interface { name: name.to_owned(), radio, carrier };
        Facts {
            language: "de".to_owned(),
            country: Some("DE".to_owned()),
            interfaces: vec![one("eth0", false, Some(true)), one("eth1", false, Some(false)), one("wlan0", true, None)],
            uplink: Some("eth0".to_owned()),
            address: Some(Ipv4Addr::new(192, 168, 50, 20)),
        }
    }

    /// Asks about the phones; what is typed, the file as it becomes, and what was shown.
    fn phones_of(text: Option<&str>, facts: &Facts, typed: &str) -> (String, String) {
        let mut draft = Draft::of(text).unwrap();
        usual::shop(&mut draft, facts);
        let mut shown = Vec::new();
        phones(&mut Terminal::new(typed.as_bytes(), &mut shown), &mut draft, facts).unwrap();
        (draft.text(), String::from_utf8(shown).unwrap())
    }

    #[test]
    fn an_access_point_on_a_port_makes_the_box_its_router() {
        let (text, shown) = phones_of(None, &facts(), "2\n\neth0\neth7\n\n");
        // The shop's own network is 192.168.50.0 here: guests get another.
        for words in [
            "uplink = \"eth0\"",
            "ports = [\"eth1\"]",
            "address = \"192.168.51.1/24\"",
            "listen = \"192.168.51.1:80\"",
            "url = \"http://192.168.51.1\"",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(shown.contains("eth0 (cable in), eth1 (no cable), wlan0 (radio)"), "{shown}");
        assert!(shown.contains("eth0 leads to the internet: write another one."), "{shown}");
        assert!(shown.contains("There is no eth7 here. Write one of: eth0, eth1, wlan0."), "{shown}");
    }

    #[test]
    fn the_boxs_own_radio_is_asked_for_name_country_channel_and_password() {
        let (text, shown) = phones_of(None, &facts(), "3\n\nCaf\u{e9}\nxx1\nfr\n99999\n11\nyes\nshort\nopen sesame\n");
        for words in [
            "[network.wifi]\nradio = \"wlan0\"\nssid = \"Caf\u{e9}\"\ncountry = \"FR\"\nchannel = 11\n",
            "security = \"wpa2\"",
            "passphrase = \"open sesame\"",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(shown.contains("Write the two letters of the country") && shown.contains("Write 1, 6, 11"), "{shown}");
        assert!(shown.contains(usual::BAD_PASSPHRASE), "{shown}");
        let (open, _) = phones_of(None, &facts(), "radio\n\n\n\n\n\n");
        assert!(open.contains("ssid = \"Our shop\"\ncountry = \"DE\"\nchannel = 6\nsecurity = \"open\"\n"), "{open}");
    }

    #[test]
    fn what_is_set_is_the_usual_answer_and_enter_keeps_it() {
        for typed in ["2\n\n\n", "3\n\n\n\n\nyes\nopen sesame\n"] {
            let (mut text, _) = phones_of(None, &facts(), typed);
            text = text.replace("passphrase = \"open sesame\"", "passphrase_file = \"/etc/tillgate/wifi.passphrase\"");
            let (again, shown) = phones_of(Some(&text), &facts(), &"\n".repeat(10));
            assert_eq!(again, text, "{shown}");
        }
    }

    #[test]
    fn a_box_that_was_a_router_and_is_none_any_more_is_one_device_among_others() {
        let (router, _) = phones_of(None, &facts(), "2\n\n\n");
        let (text, _) = phones_of(Some(&router), &facts(), "1\n\n");
        assert!(!text.contains("network") || !text.contains("[network"), "{text}");
        assert!(text.contains("listen = \"0.0.0.0:80\"\nurl = \"http://192.168.50.20\"\n"), "{text}");
    }

    #[test]
    fn who_has_no_files_yet_loses_nothing_but_the_platform() {
        let mut draft = Draft::of(None).unwrap();
        draft.set("shop", "name", "Our shop");
        let before = draft.text();
        let mut shown = Vec::new();
        let typed = "pay.example\nhttps://pay.example\n7K2M\n\n/nowhere/ca.pem\nlater\n";
        let mut terminal = Terminal::new(typed.as_bytes(), &mut shown);
        platform(&mut terminal, &mut draft, Path::new("/nowhere/tillgate.toml")).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("32 characters, and this has 4"), "{shown}");
        assert!(shown.contains("with https:// before it") && shown.contains("write where it is, or later."), "{shown}");
        assert_eq!(draft.text(), before);
    }

    #[test]
    fn a_credential_is_no_path_and_need_not_be_there() {
        assert_eq!(file("credential:platform.key").unwrap(), Some(PathBuf::from("credential:platform.key")));
        assert!(file("/nowhere/platform.key").is_err());
    }

    #[test]
    fn a_way_that_the_box_has_not_says_what_to_plug_in() {
        let poor = Facts { interfaces: facts().interfaces[..1].to_vec(), ..facts() };
        let (text, shown) = phones_of(None, &poor, "3\n2\n\nshop.example\nhttp://shop.example/\n");
        assert!(shown.contains("has no radio that can be seen") && shown.contains("a USB adapter will do"), "{shown}");
        assert!(shown.contains("Write it with http:// before it"), "{shown}");
        assert!(text.contains("url = \"http://shop.example\"\n"), "{text}");
    }
}
