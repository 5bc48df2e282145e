//! A box whose disk is read-only but for its state, and one whose books root puts back in place.

use crate::hardship::pay;
use crate::rig::{Dress, Rig, eventually};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::Command;
use tillgate::store::{Store, backup, restore};

/// Some user that is not root.
const NOBODY: u32 = 65_534;

/// Everything is mounted read-only but the folder of the shop and what is no disk; then the program takes this one's place.
const READ_ONLY: &str = r#"
set -e
mount --make-rprivate /
mount --bind "$STATE" "$STATE"
for at in $(findmnt -rno TARGET | sort -r); do
    case "$at" in "$STATE"|/dev|/dev/*|/proc|/proc/*|/sys|/sys/*) ;; *) mount -o remount,bind,ro "$at" ;; esac
done
if touch "$BESIDE" 2>/dev/null; then echo "the root is not read-only"; exit 9; fi
exec "$0" "$@"
"#;

#[test]
fn on_a_read_only_root_with_nothing_but_its_state_to_write_in_a_customer_pays() {
    let mut rig = Rig::dressed(Dress::default());
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", READ_ONLY, env!("CARGO_BIN_EXE_tillgate")]);
    shell.env("STATE", fs::canonicalize(rig.stage.file("")).unwrap());
    shell.env("BESIDE", std::env::temp_dir().join(format!("tillgate-beside-{}", std::process::id())));
    rig.start_by(shell);
    let mut phone = rig.paired();
    pay(&rig, &mut phone);
    let folder = rig.stage.file("backups");
    let copied =
        || fs::read_dir(&folder).is_ok_and(|mut files| files.any(|file| file.unwrap().path().extension().is_some()));
    eventually("the first backup is made", copied);
    rig.kill_and_start();
    assert_eq!(rig.agree().len(), 1);
}

#[test]
fn books_that_root_restores_are_the_daemons_users() {
    let folder = std::env::temp_dir().join(format!("tillgate-owner-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (db, copy) = (folder.join("tillgate.db"), folder.join("copy.db"));
    drop(Store::open(&db).unwrap());
    backup(&db, &copy).unwrap();
    for path in ["tillgate.db", "tillgate.db-wal", "tillgate.db-lock"] {
        chown(folder.join(path), Some(NOBODY), Some(NOBODY)).expect("this test gives files away: run it as root");
    }
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let owner = |path: &std::path::Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
    let kept = restore(&db, &copy, false, &mut |_, _| {}).unwrap().kept.unwrap();
    for path in [&db, &folder.join("tillgate.db-lock"), &kept] {
        assert_eq!(owner(path), (NOBODY, NOBODY), "{}", path.display());
    }
    // On a box whose books are gone altogether, and where the first try fails, its folder says whose they are.
    for end in ["", "-wal", "-shm", "-lock"] {
        let _ = fs::remove_file(folder.join(format!("tillgate.db{end}")));
    }
    assert!(restore(&db, &folder.join("no.db"), false, &mut |_, _| {}).is_err());
    assert_eq!(owner(&folder.join("tillgate.db-lock")), (NOBODY, NOBODY));
    restore(&db, &copy, false, &mut |_, _| {}).unwrap();
    for path in [&db, &folder.join("tillgate.db-lock")] {
        assert_eq!(owner(path), (NOBODY, NOBODY), "{}", path.display());
    }
    fs::remove_dir_all(&folder).unwrap();
}
