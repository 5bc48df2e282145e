//! The disks that a power cut can leave of one moment. Judges none of them.

use crate::dice::Dice;
use crate::disk::{Change, Disk, Fate, File, Files, Inode, Name, SECTOR, sectors};
use std::collections::BTreeMap;
use std::fmt::Write;

/// How much of the changes of a file that are not synced is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    None,
    All,
    /// The first so many, and of the next one so many sectors.
    Begin(usize, usize),
    /// All but this one.
    AllBut(usize),
    /// This one alone.
    Only(usize),
    /// Each with so many chances in a hundred.
    Each(u8),
    /// Each sector of each with so many chances in a hundred.
    Torn(u8),
}

/// What becomes of the size of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    /// It ends where the last kept byte stands.
    OfWhatIsKept,
    /// It did not grow: what was written behind the old end is lost.
    AsSynced,
    /// It grew, but what was written there is not: zeros, or what the disk held before.
    AsSeen,
}

/// One disk after a power cut.
#[derive(Debug)]
pub struct State {
    /// Its files.
    pub files: Files,
    /// Which changes it kept, for people.
    pub kept: String,
}

/// State `number` of the disk. The first few are the plain ones; the rest is drawn.
pub fn state(disk: &Disk, number: usize, dice: &mut Dice) -> State {
    let mut kept = String::new();
    let unsure: Vec<Inode> = disk.files.iter().filter(|(_, f)| !f.pending.is_empty()).map(|(i, _)| *i).collect();
    let plain = 1 << (unsure.len() + 1);
    let mut names = disk.names.clone();
    for (at, (name, inode)) in disk.renamed.iter().enumerate() {
        let there = if number < plain { number & 1 == 1 } else { dice.percent(50) };
        if there {
            match inode {
                Some(inode) => names.insert(*name, *inode),
                None => names.remove(name),
            };
        }
        let _ = write!(kept, "name {at} ({}) {}; ", name.suffix(), if there { "there" } else { "not there" });
    }
    let mut contents = BTreeMap::new();
    for (inode, file) in &disk.files {
        if !names.values().any(|named| named == inode) {
            continue;
        }
        let bit = unsure.iter().position(|i| i == inode);
        let (how, size) = match bit {
            None => (Kept::None, Size::OfWhatIsKept),
            Some(bit) if number < plain => {
                (if number >> (bit + 1) & 1 == 1 { Kept::All } else { Kept::None }, Size::OfWhatIsKept)
            }
            Some(_) => draw(file, dice),
        };
        if bit.is_some() {
            let _ = write!(kept, "file {inode} {how:?} of {} with its size {size:?}; ", file.pending.len());
        }
        contents.insert(*inode, left_of(file, how, size, dice));
    }
    let files = names.into_iter().map(|(name, inode): (Name, Inode)| (name, contents[&inode].clone())).collect();
    State { files, kept }
}

/// How many plain states there are before the drawn ones: each unsynced file whole or not at all, with its name or not.
pub fn plain_states(disk: &Disk) -> usize {
    1 << (disk.files.values().filter(|f| !f.pending.is_empty()).count() + 1)
}

/// How much there is to choose from on this disk: 0 where all is sure.
pub fn weight(disk: &Disk) -> usize {
    let writes = disk.files.values().flat_map(|file| &file.pending);
    let parts = writes.map(|(change, _)| match change {
        Change::Write(at, bytes) => sectors(*at, bytes.len()).len(),
        Change::Truncate(_) => 1,
    });
    // A file of hundreds of open writes has more states than anybody can judge: it does not take all the dose.
    (parts.sum::<usize>() + disk.renamed.len()).min(64)
}

fn draw(file: &File, dice: &mut Dice) -> (Kept, Size) {
    let count = file.pending.len();
    let percent = [10, 50, 90][dice.below(3)];
    // The last few changes are those that a cut catches most often.
    let late = count - 1 - dice.below(count.min(6));
    let how = match dice.below(9) {
        0 => Kept::None,
        1 => Kept::All,
        2 => Kept::Begin(dice.below(count), dice.below(4)),
        3 => Kept::Begin(late, dice.below(4)),
        4 => Kept::AllBut(dice.below(count)),
        5 => Kept::AllBut(late),
        6 => Kept::Only(dice.below(count)),
        7 => Kept::Each(percent),
        _ => Kept::Torn(percent),
    };
    let size = match dice.below(6) {
        0 => Size::AsSynced,
        1 => Size::AsSeen,
        _ => Size::OfWhatIsKept,
    };
    (how, size)
}

/// The bytes of a file of whose changes these are kept. A sector holds whole one of the contents it ever had since the
/// last sync: that of the newest kept write that touches it.
fn left_of(file: &File, how: Kept, size: Size, dice: &mut Dice) -> Vec<u8> {
    let mut newest: BTreeMap<usize, usize> = BTreeMap::new();
    let mut cuts = Vec::new();
    for (at, (change, fate)) in file.pending.iter().enumerate() {
        let drawn = match how {
            Kept::None => false,
            Kept::All => true,
            Kept::Begin(count, _) => at < count,
            Kept::AllBut(one) => at != one,
            Kept::Only(one) => at == one,
            Kept::Each(percent) => dice.percent(percent),
            Kept::Torn(percent) => matches!(change, Change::Truncate(_)) && dice.percent(percent),
        };
        let whole = drawn || *fate == Fate::Sure;
        match change {
            Change::Truncate(_) => cuts.push((at, whole)),
            Change::Write(offset, bytes) => {
                for (nth, sector) in sectors(*offset, bytes.len()).enumerate() {
                    let there = whole
                        || matches!(how, Kept::Begin(count, torn) if at == count && nth < torn)
                        || matches!(how, Kept::Torn(percent) if dice.percent(percent));
                    if there {
                        newest.insert(sector, at);
                    }
                }
            }
        }
    }
    let mut left = file.durable.to_vec();
    for (at, (change, _)) in file.pending.iter().enumerate() {
        match change {
            Change::Truncate(to) if cuts.contains(&(at, true)) => left.resize(*to, 0),
            Change::Truncate(_) => {}
            Change::Write(offset, bytes) => {
                for sector in sectors(*offset, bytes.len()).filter(|s| newest.get(s).is_some_and(|n| *n >= at)) {
                    let from = (sector * SECTOR).max(*offset);
                    let to = ((sector + 1) * SECTOR).min(offset + bytes.len());
                    if left.len() < to {
                        left.resize(to, 0);
                    }
                    left[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
                }
            }
        }
    }
    match size {
        Size::OfWhatIsKept => {}
        Size::AsSynced if file.pending.iter().all(|(_, fate)| *fate == Fate::Open) => left.truncate(file.durable.len()),
        Size::AsSynced => {}
        Size::AsSeen => {
            let junk = dice.percent(50);
            let (from, to) = (left.len(), file.seen().len().max(left.len()));
            left.resize_with(to, || if junk { dice.draw().to_le_bytes()[0] } else { 0 });
            if junk {
                // Sectors between kept ones are as little written as those behind the last.
                let grown = file.durable.len().div_ceil(SECTOR)..from / SECTOR;
                for sector in grown.filter(|s| !newest.contains_key(s)) {
                    left[sector * SECTOR..(sector + 1) * SECTOR].fill_with(|| dice.draw().to_le_bytes()[0]);
                }
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Op;

    fn disk(ops: &[Op]) -> Disk {
        let mut disk = Disk::of(Files::from([(Name::Db, vec![1; 1024])]));
        ops.iter().for_each(|op| disk.step(op));
        disk
    }

    fn write(at: usize, byte: u8, len: usize) -> Op {
        Op::Write(1, at, vec![byte; len].into())
    }

    fn db(state: &State) -> &[u8] {
        &state.files[&Name::Db]
    }

    #[test]
    fn what_is_synced_is_there_in_every_state() {
        let disk = disk(&[write(0, 2, 600), Op::Sync(1), write(512, 3, 512), write(1024, 4, 700)]);
        for number in 0..2_000 {
            let state = state(&disk, number, &mut Dice::new(&[number as u64]));
            assert_eq!(db(&state)[..512], [2; 512], "{}", state.kept);
            assert!(db(&state)[512] == 2 || db(&state)[512] == 3);
            assert!((1024..=1724).contains(&db(&state).len()));
        }
    }

    #[test]
    fn later_writes_are_lost_kept_torn_and_reordered() {
        let disk = disk(&[write(0, 2, 1024), write(512, 3, 512), write(1024, 4, 512), Op::Truncate(1, 1030)]);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..3_000 {
            let state = state(&disk, number, &mut Dice::new(&[number as u64]));
            let at = |at: usize| db(&state).get(at).copied().filter(|b| *b <= 4).unwrap_or(9);
            seen.insert((at(0), at(512), at(1024), db(&state).len()));
        }
        for there in
            [(1, 1, 9, 1024), (2, 3, 4, 1030), (2, 1, 9, 1024), (1, 1, 4, 1536), (1, 3, 9, 1024), (1, 2, 0, 1030)]
        {
            assert!(seen.contains(&there), "{there:?} is not in {seen:?}");
        }
    }

    #[test]
    fn what_a_failed_sync_left_behind_stays_in_doubt_under_what_is_synced_later() {
        let disk = disk(&[write(0, 2, 512), Op::SyncFailed(1), write(512, 3, 512), Op::Sync(1)]);
        let mut first = std::collections::BTreeSet::new();
        for number in 0..100 {
            let state = state(&disk, number, &mut Dice::new(&[number as u64]));
            assert_eq!(db(&state)[512], 3);
            first.insert(db(&state)[0]);
        }
        assert_eq!(first.len(), 2);
    }

    #[test]
    fn a_file_whose_name_is_not_synced_may_be_missing() {
        let create = Op::Create(Name::Wal, 2);
        let wals = |disk: &Disk| {
            let wals = (0..50).map(|n| state(disk, n, &mut Dice::new(&[n as u64])).files.contains_key(&Name::Wal));
            wals.filter(|there| *there).count()
        };
        assert!((1..50).contains(&wals(&disk(&[create.clone(), Op::Write(2, 0, vec![1].into()), Op::Sync(2)]))));
        assert_eq!(wals(&disk(&[create, Op::SyncNames])), 50);
    }
}
