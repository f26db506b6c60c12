//! The command line of `paprika`.

mod answers;
mod race;
mod transitions;
mod trial;

use crate::boot;
use crate::device::Family;
use crate::machine::{Machine, Sight};
use crate::out::{self, say};
use crate::qemu::Qemu;
use crate::qemu::command::{DEFAULT_MEMORY, Firmware, Setup};
use crate::render::{Colour, Show, report};
use crate::scenario::{self, HOLDS};
use crate::signals;
use crate::stop::Stop;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the payload is built to, below the repository's root.
const PAYLOAD: &str = "target/paprika.elf";
/// How long a run may take, where nobody says otherwise: with room for a slow machine.
const VOF_LIMIT: u64 = 120;
/// SLOF alone takes several seconds.
const SLOF_LIMIT: u64 = 240;

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Boot arguments with which `paprika run` steers the guest itself.
const STEERED: [&str; 3] = ["hold=", "until=", "then="];

/// Plays the host's half of PAPR hotplug against a guest that plays its own.
#[derive(Debug, Parser)]
#[command(name = "paprika", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  paprika run                                   plug and unplug, before CAS and after the handler is armed
  paprika run --kinds memory,cpu                only DIMMs and cores, without PCI and NVDIMMs
  paprika run --firmware slof --qemu ./qemu-system-ppc64
  paprika run --cpu power8_v2.0 --append ov5=-hp-evt --keep
  paprika race memory                           every action with a DIMM in every window of a guest's life
  paprika transitions --format mermaid          the state diagram of the connectors, as this QEMU has it
  paprika boot                                  the guest stays; plug by hand in QEMU's monitor (Ctrl-A c)
  paprika boot --append help                    what the guest can be told

Environment:
  QEMU, QEMU_TEST_QEMU_BINARY    the QEMU, where --qemu is not given
  NO_COLOR                       no colours

Exit status:
  0    every property held, or what did not is a known defect of this QEMU
  1    a property was broken, or QEMU ended where it should not
  2    nothing to judge: wrong usage, no QEMU, no payload, a broken surrounding
  77   skipped: this QEMU lacks what is needed
  124  timed out
  130  interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boots, plugs devices before CAS and again after the handler is armed, takes all back, gives a verdict
    #[command(after_help = "\
Every line of the guest's console is shown, with the guest's own time since its boot and the station that it is at; what the
host and QEMU do stands between, marked `---`. A table and one line with the verdict end it.")]
    Run(RunOptions),
    /// Boots the guest to stay: console on the terminal, QEMU's monitor behind Ctrl-A c
    #[command(after_help = "\
The exact QEMU command is printed first, and commands to type into the monitor that fit this QEMU. Ends with QEMU's status.")]
    Boot(Options),
    /// Plugs and unplugs at every place of a guest's life, each in a boot of its own, and prints the matrix
    #[command(after_help = race::AFTER_HELP)]
    Race(race::RaceOptions),
    /// Makes every call about a connector from every state, and prints what comes of it: tables, or a diagram
    #[command(after_help = transitions::AFTER_HELP)]
    Transitions(transitions::TransitionsOptions),
    /// Answers the questions about hotplug on pseries, each with what was measured on this QEMU
    #[command(after_help = answers::AFTER_HELP)]
    Answers(answers::AnswersOptions),
}

/// What is plugged.
#[derive(Args, Clone, Debug)]
pub struct RunOptions {
    /// The kinds of devices, with commas between: memory, cpu, pci, phb, pmem; `all` for all of them
    #[arg(long, value_name = "KINDS", default_value = "all", value_parser = kinds)]
    pub kinds: Kinds,
    /// How to set up the machine.
    #[command(flatten)]
    pub machine: Options,
}

/// Kinds of devices, each once, in the order in which they are plugged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(pub Vec<Family>);

fn kinds(text: &str) -> Result<Kinds, String> {
    let mut kinds = Vec::new();
    for word in text.split(',') {
        match Family::from_str(word, false) {
            Ok(family) => kinds.push(family),
            Err(_) if word == "all" => kinds.extend(Family::ALL),
            Err(_) => return Err(format!("there is no kind `{word}`")),
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(Kinds(kinds))
}

/// How much is done side by side.
#[derive(Args, Clone, Copy, Debug)]
pub struct Jobs {
    /// How many boots at a time; as many as there are processors where it is not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
}

impl Jobs {
    fn count(self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.map_or_else(processors, usize::from)
    }
}

/// How to set up the machine.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The qemu-system-ppc64 to start: a path, or a name on the PATH; `race` and `transitions` compare several
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Vec<PathBuf>,
    /// The firmware that starts the guest
    #[arg(long, value_enum, default_value_t)]
    pub firmware: Firmware,
    /// Further options of the machine, as `ic-mode=xics` or `pseries-7.2,nvdimm=on`
    #[arg(long, value_name = "OPTIONS")]
    pub machine: Option<String>,
    /// The CPU, as `power9_v2.0`; QEMU's default where it is not given
    #[arg(long)]
    pub cpu: Option<String>,
    /// Memory at the start, in multiples of 256M; with a comma, all of QEMU's -m
    #[arg(long, default_value = DEFAULT_MEMORY)]
    pub mem: String,
    /// Boot arguments for the guest; `help` makes it list them
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// What QEMU traces beside its connectors and CAS, as `spapr_xive*`
    #[arg(long, value_name = "PATTERN")]
    pub trace: Vec<String>,
    /// How long it may take, in seconds; `boot` takes as long as you like
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: Option<u64>,
    /// Keep the private directory: the exact command, console.log, qmp.jsonl, trace.log, stderr, timeline.jsonl; of a race
    /// also verdict.json, and in `again` the command that runs it again
    #[arg(long)]
    pub keep: bool,
    /// The guest; target/paprika.elf where it is not given
    #[arg(long, value_name = "ELF")]
    pub payload: Option<PathBuf>,
}

impl Options {
    /// The machine, for a command that takes one QEMU.
    fn setup(&self) -> anyhow::Result<Setup> {
        let mut setups = self.setups()?;
        match setups.pop() {
            Some(setup) if setups.is_empty() => Ok(setup),
            _ => anyhow::bail!("this command takes one `--qemu`; `race` and `transitions` compare several"),
        }
    }

    /// The machine with each QEMU; with the one that is found where none was named.
    fn setups(&self) -> anyhow::Result<Vec<Setup>> {
        if self.qemu.is_empty() {
            return Ok(vec![self.setup_with(None)?]);
        }
        self.qemu.iter().map(|program| self.setup_with(Some(program))).collect()
    }

    /// How long a run under this firmware may take.
    fn limit(&self, firmware: Firmware) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(match firmware {
            Firmware::Vof => VOF_LIMIT,
            Firmware::Slof => SLOF_LIMIT,
        }))
    }

    fn setup_with(&self, qemu: Option<&Path>) -> anyhow::Result<Setup> {
        let setup = Setup {
            firmware: self.firmware,
            machine: self.machine.clone(),
            cpu: self.cpu.clone(),
            memory: self.mem.clone(),
            append: self.append.clone(),
            trace: self.trace.clone(),
            keep: self.keep,
            ..Setup::new(Qemu::find(qemu)?, self.payload.clone().unwrap_or_else(default_payload))
        };
        setup.check()?;
        Ok(setup)
    }
}

/// The payload of this directory, else that of the repository in which this program was built.
pub fn default_payload() -> PathBuf {
    let here = PathBuf::from(PAYLOAD);
    let of_repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(PAYLOAD);
    if here.is_file() || !of_repository.is_file() { here } else { of_repository }
}

/// Does what the command line says; the exit status.
pub fn main() -> u8 {
    let cli = Cli::parse();
    let result = signals::install().map_err(anyhow::Error::from).and_then(|()| match &cli.command {
        Command::Run(options) => run(options),
        Command::Boot(options) => boot(options),
        Command::Race(options) => race::race(options),
        Command::Transitions(options) => transitions::transitions(options),
        Command::Answers(options) => answers::answers(options),
    });
    let status = result.unwrap_or_else(|error| {
        eprintln!("paprika: {error:#}");
        match error.downcast_ref::<Stop>() {
            Some(Stop::Interrupted) => INTERRUPTED,
            Some(stop) => stop.verdict().exit_status(),
            None => 2,
        }
    });
    match out::problem() {
        // What nobody could read is no success.
        Some(problem) if status == 0 => {
            eprintln!("paprika: not all could be printed: {problem}");
            2
        }
        _ => status,
    }
}

fn run(RunOptions { kinds, machine: options }: &RunOptions) -> anyhow::Result<u8> {
    if let Some(word) =
        options.append.iter().flat_map(|text| text.split_whitespace()).find(|word| is_steered(word))
    {
        eprintln!(
            "paprika: `run` gives the guest its own `{word}`; `paprika boot --append {word}` leaves it to you"
        );
        return Ok(2);
    }
    let mut setup = options.setup()?;
    setup.append.push(HOLDS.to_owned());
    let limit = options.limit(options.firmware);
    let colour = Colour::of_stdout();
    let mut show = Show::new(colour);
    let watcher = Box::new(move |sight: Sight<'_>| show.print(sight));
    say!("{} with {}, {}", setup.qemu.banner, setup.firmware, setup.payload.display());
    let mut machine = Machine::launch(&setup, Instant::now() + limit, watcher)?;
    let outcome = scenario::run(&mut machine, &kinds.0);
    say!("{}", report(&outcome, machine.transcript(), colour));
    if setup.keep {
        machine.write_timeline()?;
        say!("kept: {}", machine.directory().display());
    }
    Ok(interrupted_or(outcome.verdict.exit_status()))
}

/// The status of a program that was asked to end, or this one.
fn interrupted_or(status: u8) -> u8 {
    if signals::asked_to_end() { INTERRUPTED } else { status }
}

fn is_steered(word: &str) -> bool {
    STEERED.iter().any(|key| word.starts_with(key))
}

fn boot(options: &Options) -> anyhow::Result<u8> {
    let setup = options.setup()?;
    let exit = boot::boot(&setup, options.timeout.map(Duration::from_secs))?;
    if !exit.success() {
        eprintln!("paprika: QEMU {exit}");
    }
    Ok(u8::try_from(exit.code()).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, Family, Kinds, is_steered, kinds};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn boot_arguments_may_start_with_a_minus_and_come_in_pieces() {
        let cli = Cli::try_parse_from(["paprika", "run", "--append", "-x", "--append", "ov5=-hp-evt help"]);
        let Ok(Cli { command: Command::Run(options) }) = cli else { panic!("{cli:?}") };
        assert_eq!(options.machine.append, ["-x", "ov5=-hp-evt help"]);
    }

    #[test]
    fn kinds_are_named_with_commas_between() {
        assert_eq!(kinds("memory,cpu"), Ok(Kinds(Family::USUAL.to_vec())));
        assert_eq!(kinds("pmem,memory,pmem"), Ok(Kinds(vec![Family::Memory, Family::Pmem])));
        assert_eq!(kinds("all,cpu"), Ok(Kinds(Family::ALL.to_vec())));
        assert!(["", "memory,", "fan", "ALL"].iter().all(|wrong| kinds(wrong).is_err()));
        let cli = Cli::try_parse_from(["paprika", "run"]);
        let Ok(Cli { command: Command::Run(options) }) = cli else { panic!("{cli:?}") };
        assert_eq!(options.kinds.0, Family::ALL);
    }

    #[test]
    fn wrong_usage_is_told() {
        assert!(Cli::try_parse_from(["paprika"]).is_err());
        assert!(Cli::try_parse_from(["paprika", "run", "--firmware", "uboot"]).is_err());
        assert!(Cli::try_parse_from(["paprika", "run", "--timeout", "0"]).is_err());
    }

    #[test]
    fn what_run_needs_for_itself_cannot_be_given_to_it() {
        assert!(is_steered("hold=before-cas") && is_steered("then=idle") && !is_steered("ov5=-hp-evt"));
    }
}
