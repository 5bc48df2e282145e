//! Whether the daemon's user may do what the daemon must: reckoned from owners and modes, without becoming that user. Access
//! lists are not looked at.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The daemon's user.
pub(super) const USER: &str = "tillgate";

/// What is to be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Read,
    /// Read and write.
    Write,
    /// Make files in a folder.
    Fill,
}

impl Deed {
    fn bits(self) -> u32 {
        match self {
            Deed::Read => 4,
            Deed::Write => 6,
            Deed::Fill => 7,
        }
    }
}

/// A user of this machine, and its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    number: u32,
    groups: BTreeSet<u32>,
}

impl User {
    /// `None`: there is no such user.
    pub(super) fn named(name: &str) -> Option<User> {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        User::of(name, &read("/etc/passwd"), &read("/etc/group"))
    }

    fn of(name: &str, passwd: &str, group: &str) -> Option<User> {
        let line =
            passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|line| line.first() == Some(&name))?;
        let number = |at: usize| line.get(at)?.parse::<u32>().ok();
        let mut groups = BTreeSet::from([number(3)?]);
        for line in group.lines().map(|line| line.split(':').collect::<Vec<_>>()) {
            let is_in = line.get(3).is_some_and(|members| members.split(',').any(|one| one == name));
            groups.extend(line.get(2).filter(|_| is_in).and_then(|number| number.parse::<u32>().ok()));
        }
        Some(User { number: number(2)?, groups })
    }

    /// What keeps the user from the deed: the file itself, or a folder above it. `None`: nothing does, or there is no such
    /// file, which others say.
    pub(super) fn kept_from(&self, deed: Deed, path: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(path).ok()?;
        let closed = real.ancestors().skip(1).find(|folder| !self.may(1, folder));
        closed.map(Path::to_owned).or_else(|| (!self.may(deed.bits(), &real)).then_some(real))
    }

    fn may(&self, bits: u32, path: &Path) -> bool {
        let Ok(file) = fs::metadata(path) else { return true };
        let shift = match () {
            () if self.number == 0 => return true,
            () if file.uid() == self.number => 6,
            () if self.groups.contains(&file.gid()) => 3,
            () => 0,
        };
        (file.mode() >> shift) & bits == bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_user_has_its_own_group_and_those_that_name_it() {
        let passwd = "root:x:0:0::/root:/bin/sh\ntillgate:x:990:991::/:/bin/false\n";
        let group = "root:x:0:\ndialout:x:20:pi,tillgate\ntillgates:x:7:tillgate2\n";
        let user = User::of("tillgate", passwd, group).unwrap();
        assert_eq!((user.number, user.groups), (990, BTreeSet::from([991, 20])));
        assert_eq!(User::of("till", passwd, group), None);
    }

    #[test]
    fn a_file_is_closed_by_itself_or_by_a_folder_above() {
        let folder = std::env::temp_dir().join(format!("tillgate-rights-{}", std::process::id()));
        let file = folder.join("inner/key");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let owner = fs::metadata(&file).unwrap();
        let stranger = User { number: owner.uid() + 1, groups: BTreeSet::from([owner.gid() + 1]) };
        let member = User { number: owner.uid() + 1, groups: BTreeSet::from([owner.gid()]) };
        mode(&folder, 0o755);
        mode(folder.join("inner").as_path(), 0o750);
        mode(&file, 0o640);
        let real = fs::canonicalize(&folder).unwrap();
        assert_eq!(member.kept_from(Deed::Read, &file), None);
        assert_eq!(member.kept_from(Deed::Write, &file), Some(real.join("inner/key")));
        assert_eq!(stranger.kept_from(Deed::Read, &file), Some(real.join("inner")));
        assert_eq!(stranger.kept_from(Deed::Read, &folder.join("none")), None);
        assert_eq!(member.kept_from(Deed::Fill, &folder.join("inner")), Some(real.join("inner")));
        fs::remove_dir_all(folder).unwrap();
    }
}
