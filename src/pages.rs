//! Man pages and completions, made from the command line as it is. Of the package's build only: no release has it.

use crate::{Exit, fail};
use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;
use std::io;
use std::path::{Path, PathBuf};

/// Write man pages and completions
#[derive(Args)]
#[command(hide = true)]
pub(super) struct PagesArgs {
    /// Where they go
    folder: PathBuf,
}

pub(super) fn write(args: &PagesArgs, program: Command) -> Exit {
    match write_all(&args.folder, program) {
        Ok(()) => Exit::Good,
        Err(cause) => fail(&cause, Exit::No),
    }
}

fn write_all(folder: &Path, program: Command) -> io::Result<()> {
    // Neither this command nor the list of helps is the reader's concern.
    let mut program = program.disable_help_subcommand(true);
    program.build();
    std::fs::create_dir_all(folder)?;
    for shell in Shell::value_variants().iter().filter(|shell| matches!(shell, Shell::Bash | Shell::Fish | Shell::Zsh))
    {
        clap_complete::generate_to(*shell, &mut program.clone(), "tillgate", folder)?;
    }
    page(folder, &program)
}

/// The page of a command, then those of the commands below it.
fn page(folder: &Path, command: &Command) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).section("8").manual("Tillgate");
    let mut bytes = Vec::new();
    man.source(concat!("tillgate ", env!("CARGO_PKG_VERSION"))).render(&mut bytes)?;
    // Examples and exit codes stand line by line.
    let text = String::from_utf8_lossy(&bytes)
        .replace(".SH EXTRA\n", ".SH NOTES\n.nf\n")
        .replace("\n.SH VERSION", "\n.fi\n.SH VERSION");
    std::fs::write(folder.join(format!("{name}.8")), text)?;
    command.get_subcommands().filter(|below| !below.is_hide_set()).try_for_each(|below| page(folder, below))
}
