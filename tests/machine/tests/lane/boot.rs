//! The image by itself: its firmware starts it, and it takes all of the disk that it was put on.

use crate::machine::{Disks, Machine, alone};
use crate::town::Town;
use std::path::Path;

/// Of the package ovmf.
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE.fd";
/// A disk that is larger than the image.
const DISK_MIB: u64 = 4_096;

#[test]
fn the_firmware_starts_the_image_and_it_fills_its_disk() {
    let _alone = alone();
    assert!(Path::new(FIRMWARE).exists(), "there is no {FIRMWARE}: apt-get install ovmf");
    // The firmware would speak to tills.
    let town = Town::new(0);
    let disks = Disks::new(&town, "boot");
    std::fs::OpenOptions::new().write(true).open(&disks.root).unwrap().set_len(DISK_MIB << 20).unwrap();
    let firmware = format!("if=pflash,format=raw,readonly=on,file={FIRMWARE}");
    let mut machine = Machine::start_by(&disks, &["-machine", "q35", "-device", "VGA", "-drive", &firmware]);
    println!("by its firmware up after {:.0} s", machine.is_up().as_secs_f64());
    machine.does("test -d /sys/firmware/efi");
    let mib = machine
        .eventually("it fills its disk", "mib=$(df -m --output=size / | tail -n 1); test $mib -gt 3500 && echo $mib");
    println!("its root has {} MiB", mib.trim());
    machine.does("dpkg --verify tillgate");
    // As apt does after a new kernel.
    machine.does("mount LABEL=TG-BOOT /boot/efi && rm /boot/efi/loader/entries/*");
    machine.does("v=$(uname -r); /etc/kernel/postinst.d/zz-systemd-boot $v /boot/vmlinuz-$v");
    let entry = machine.does("cat /boot/efi/loader/entries/*");
    let names = |what: &str| entry.lines().any(|line| line.starts_with(what) && line.contains(" /tillgate/"));
    assert!(names("linux") && names("initrd") && entry.contains("root=LABEL=tillgate"), "{entry}");
    machine.does("umount /boot/efi");
    assert_eq!(machine.does("systemctl list-units --state=failed --no-legend"), "");
    machine.shut_down();
}
