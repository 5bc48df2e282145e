//! Putting files in place and taking them away, in folders made for it.

use super::*;
use crate::network::render::Reader;
use std::os::unix::fs::symlink;

const DNSMASQ: &str = "etc/dnsmasq.d/tillgate.conf";
const HOSTAPD: &str = "etc/hostapd/wlan0.conf";

struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("tillgate-place-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Root(path)
    }

    fn write(&self, path: &str, text: &str) {
        let whole = self.0.join(path);
        fs::create_dir_all(whole.parent().unwrap()).unwrap();
        fs::write(whole, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }

    fn apply(&self, wanted: &[Wanted], force: bool) -> Vec<Step> {
        let steps = plan(&self.0, wanted, force).unwrap();
        carry_out(&self.0, &steps).unwrap();
        steps
    }

    /// Every file below the root, and what is in it.
    fn all(&self) -> Vec<(PathBuf, String)> {
        fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push((path.clone(), fs::read_to_string(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.0, &mut found);
        found.sort();
        found
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn wanted(path: &str, text: &str) -> Wanted {
    Wanted { path: path.into(), text: text.to_owned(), secret: path == HOSTAPD, reader: Reader::Dnsmasq }
}

fn both() -> Vec<Wanted> {
    vec![wanted(DNSMASQ, "interface=guests\n"), wanted(HOSTAPD, "interface=wlan0\nwpa_passphrase=open sesame\n")]
}

#[test]
fn what_is_applied_twice_changes_nothing_the_second_time() {
    let root = Root::new("twice");
    assert!(root.apply(&both(), false).iter().all(|step| matches!(step, Step::Write { .. })));
    let first = root.all();
    assert_eq!(first.len(), 2, "nothing is left beside the files");
    assert!(root.apply(&both(), false).iter().all(|step| matches!(step, Step::Keep(_))));
    assert_eq!(root.all(), first);
}

#[test]
fn a_secret_file_is_for_its_owner_only_and_is_mended_when_it_is_not() {
    let root = Root::new("mode");
    root.apply(&both(), false);
    let mode = |path: &str| fs::metadata(root.0.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(HOSTAPD), mode(DNSMASQ)), (0o600, 0o644));
    fs::set_permissions(root.0.join(HOSTAPD), Permissions::from_mode(0o644)).unwrap();
    let steps = plan(&root.0, &both(), false).unwrap();
    let shown: String = steps.iter().map(diff).collect();
    assert!(shown.contains("its permissions"), "{shown}");
    root.apply(&both(), false);
    assert_eq!(mode(HOSTAPD), 0o600);
}

#[test]
fn a_file_of_somebody_else_is_never_touched() {
    let root = Root::new("foreign");
    root.write(DNSMASQ, "# mine\n");
    let elsewhere = root.0.join("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    fs::create_dir_all(root.0.join("etc/hostapd")).unwrap();
    symlink(&elsewhere, root.0.join(HOSTAPD)).unwrap();
    for force in [false, true] {
        let steps = plan(&root.0, &both(), force).unwrap();
        assert_eq!(steps, [Step::Foreign(DNSMASQ.into()), Step::Foreign(HOSTAPD.into())]);
        carry_out(&root.0, &steps).unwrap();
        assert_eq!(removals(&root.0, force).unwrap(), []);
    }
    assert_eq!((root.read(DNSMASQ).as_str(), root.read("elsewhere").as_str()), ("# mine\n", "untouched"));
}

#[test]
fn a_file_of_ours_that_was_changed_by_hand_is_kept_until_it_is_given_up() {
    let root = Root::new("edited");
    root.apply(&both(), false);
    let edited = format!("{}log-queries\n", root.read(DNSMASQ));
    root.write(DNSMASQ, &edited);
    let next = [wanted(DNSMASQ, "interface=other\n")];
    assert!(matches!(&root.apply(&next, false)[..], [Step::Edited(_), Step::Remove { .. }]));
    assert_eq!(root.read(DNSMASQ), edited);
    assert_eq!(removals(&root.0, false).unwrap(), [Step::Edited(DNSMASQ.into())]);
    let shown: String = plan(&root.0, &next, true).unwrap().iter().map(diff).collect();
    assert!(shown.contains("-log-queries\n") && shown.contains("+interface=other\n"), "{shown}");
    root.apply(&next, true);
    assert!(root.read(DNSMASQ).ends_with("\ninterface=other\n"));
}

#[test]
fn clear_leaves_what_was_there() {
    let root = Root::new("clear");
    root.write("etc/dnsmasq.d/README", "Debian's\n");
    root.write("etc/dnsmasq.d/tillgate-notes.conf", "# the shopkeeper's\n");
    root.write("etc/hostapd/ifupdown.sh", "#!/bin/sh\n");
    root.write("etc/systemd/network/10-mine.network", "[Match]\nName=eth9\n");
    let before = root.all();
    root.apply(&both(), false);
    assert_eq!(root.all().len(), before.len() + 2);
    let steps = removals(&root.0, false).unwrap();
    carry_out(&root.0, &steps).unwrap();
    assert_eq!(root.all(), before);
}

#[test]
fn a_file_that_is_not_wanted_any_more_goes() {
    let root = Root::new("gone");
    root.apply(&both(), false);
    root.apply(&both()[..1], false);
    assert_eq!(root.all().len(), 1);
}

#[test]
fn a_diff_shows_lines_and_never_a_passphrase() {
    let root = Root::new("diff");
    let shown = |wanted: &[Wanted]| plan(&root.0, wanted, false).unwrap().iter().map(diff).collect::<String>();
    let first = shown(&both());
    assert!(first.contains("--- /dev/null\n+++ /etc/hostapd/wlan0.conf\n"), "{first}");
    assert!(first.contains("+interface=guests\n") && first.contains("+wpa_passphrase=(hidden)\n"), "{first}");
    assert!(!first.contains("sesame"), "{first}");
    root.apply(&both(), false);
    assert_eq!(shown(&both()), "");
    let other =
        [wanted(DNSMASQ, "interface=guests\n"), wanted(HOSTAPD, "interface=wlan0\nwpa_passphrase=close sesame\n")];
    let changed = shown(&other);
    assert!(changed.contains("a passphrase (not shown)") && !changed.contains("sesame"), "{changed}");
    assert!(!changed.contains("sha256"), "a hash would tell whether a guess is right: {changed}");
    root.apply(&other, false);
    let gone: String = removals(&root.0, false).unwrap().iter().map(diff).collect();
    assert!(gone.contains("-wpa_passphrase=(hidden)") && !gone.contains("sesame"), "{gone}");
}

#[test]
fn a_file_that_changes_between_the_question_and_the_answer_stays() {
    let root = Root::new("meanwhile");
    let steps = plan(&root.0, &both(), false).unwrap();
    root.write(DNSMASQ, "mine\n");
    let error = carry_out(&root.0, &steps).unwrap_err().to_string();
    assert!(error.contains("it has changed meanwhile"), "{error}");
    assert_eq!(root.all().len(), 1);
    fs::remove_file(root.0.join(DNSMASQ)).unwrap();
    root.apply(&both(), false);
    let steps = removals(&root.0, false).unwrap();
    let edited = format!("{}#\n", root.read(HOSTAPD));
    root.write(HOSTAPD, &edited);
    assert!(carry_out(&root.0, &steps).is_err());
    assert_eq!(root.read(HOSTAPD), edited);
}

#[test]
fn a_link_out_of_an_image_is_not_followed() {
    let (root, outside) = (Root::new("image"), Root::new("outside"));
    fs::create_dir_all(root.0.join("etc")).unwrap();
    symlink(&outside.0, root.0.join("etc/dnsmasq.d")).unwrap();
    let steps = plan(&root.0, &both()[..1], false).unwrap();
    let error = carry_out(&root.0, &steps).unwrap_err().to_string();
    assert!(error.contains("a link leads out of the root"), "{error}");
    assert!(outside.all().is_empty());
}
