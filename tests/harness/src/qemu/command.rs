//! QEMU's command line: all that depends on its version stands here and nowhere else.

use super::{Qemu, Version};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// The first version with VOF.
const VOF_SINCE: Version = Version::new(6, 1, 0);
/// The first version that knows the mitigations as capabilities of the machine.
const MITIGATIONS_SINCE: Version = Version::new(2, 12, 0);
/// The first version with `-accel`.
const ACCEL_SINCE: Version = Version::new(2, 9, 0);
/// The first version in which `object-add` takes its properties beside the type and not in `props`.
const FLAT_OBJECT_ADD_SINCE: Version = Version::new(6, 0, 0);

/// Memory at the start.
pub const DEFAULT_MEMORY: &str = "512M";
/// Slots for memory and its bound, where nobody says otherwise.
const MEMORY_ROOM: &str = "slots=8,maxmem=4G";
/// One CPU at the start. Every CPU that was ever plugged uses up one of `maxcpus`, also after it was unplugged.
pub const DEFAULT_CPUS: &str = "1,maxcpus=8";

/// What QEMU is told to trace in every run: the life of the connectors, and CAS.
pub const TRACED: &[&str] = &["spapr_drc*", "spapr_cas*", "spapr_ovec*"];

/// Which firmware starts the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Firmware {
    /// QEMU's small one: under a second to the payload.
    #[default]
    Vof,
    /// SLOF, a whole Open Firmware: about five seconds to the payload.
    Slof,
}

impl Firmware {
    /// Its name on the command line, and in the names of races and trials.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vof => "vof",
            Self::Slof => "slof",
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vof => "VOF",
            Self::Slof => "SLOF",
        })
    }
}

/// The machine that is to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The QEMU.
    pub qemu: Qemu,
    /// The firmware.
    pub firmware: Firmware,
    /// The payload's ELF file.
    pub payload: PathBuf,
    /// Further options of the machine, as after `-M pseries,`; a first word without `=` names the machine type.
    pub machine: Option<String>,
    /// The CPU, as after `-cpu`.
    pub cpu: Option<String>,
    /// Memory, as after `-m`; without a comma it gets room for more.
    pub memory: String,
    /// CPUs, as after `-smp`.
    pub cpus: String,
    /// The payload's boot arguments.
    pub append: Vec<String>,
    /// An initial ramdisk.
    pub initrd: Option<PathBuf>,
    /// What is traced beside [`TRACED`].
    pub trace: Vec<String>,
    /// Anything else, at the end of the command line.
    pub extra: Vec<String>,
    /// Keep the private directory.
    pub keep: bool,
}

/// What speaks against starting a machine.
#[derive(Debug)]
pub enum Unfit {
    /// There is no payload.
    NoPayload(PathBuf),
    /// This QEMU has no VOF.
    NoVof(Version),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPayload(path) => write!(
                f,
                "there is no payload at `{}`.\nBuild it with `make payload`, or name one with `--payload PATH`.",
                path.display()
            ),
            Self::NoVof(version) => write!(
                f,
                "QEMU {version} has no VOF (it came with {VOF_SINCE}).\nTake SLOF with `--firmware slof`, or a newer QEMU."
            ),
        }
    }
}

impl std::error::Error for Unfit {}

/// Where the console and the monitor go.
#[derive(Clone, Copy, Debug)]
pub enum Ends<'d> {
    /// To sockets that listen in this directory; QEMU waits, stopped, for `cont`.
    Sockets(&'d Path),
    /// To the terminal, both; QEMU runs at once.
    Terminal,
}

/// The console's socket in the private directory.
pub const CONSOLE_SOCKET: &str = "console.sock";
/// The monitor's socket in the private directory.
pub const QMP_SOCKET: &str = "qmp.sock";
/// The trace in the private directory.
pub const TRACE_LOG: &str = "trace.log";

impl Setup {
    /// The default machine with this QEMU and this payload.
    pub fn new(qemu: Qemu, payload: PathBuf) -> Self {
        Self {
            qemu,
            firmware: Firmware::Vof,
            payload,
            machine: None,
            cpu: None,
            memory: DEFAULT_MEMORY.into(),
            cpus: DEFAULT_CPUS.into(),
            append: Vec::new(),
            initrd: None,
            trace: Vec::new(),
            extra: Vec::new(),
            keep: false,
        }
    }

    /// Says what can be known before QEMU is started.
    pub fn check(&self) -> Result<(), Unfit> {
        if !self.payload.is_file() {
            return Err(Unfit::NoPayload(self.payload.clone()));
        }
        if self.firmware == Firmware::Vof && self.qemu.version < VOF_SINCE {
            return Err(Unfit::NoVof(self.qemu.version));
        }
        Ok(())
    }

    /// QEMU's arguments.
    pub fn arguments(&self, ends: Ends<'_>) -> Vec<String> {
        let mut line = Line::default();
        line.option("-M", self.machine_option());
        if self.qemu.version >= ACCEL_SINCE {
            line.option("-accel", "tcg");
        }
        line.maybe("-cpu", self.cpu.as_deref());
        line.option("-m", self.memory_option());
        line.option("-smp", &self.cpus);
        // Without these QEMU wants a ROM for a display that nobody looks at.
        line.flag("-nodefaults").option("-display", "none").option("-vga", "none");
        match ends {
            Ends::Sockets(directory) => self.sockets(&mut line, directory),
            Ends::Terminal => {
                line.option("-serial", "mon:stdio");
                self.traces(&mut line, &self.trace);
            }
        }
        line.option("-kernel", self.payload.to_string_lossy());
        line.maybe("-initrd", self.initrd.as_deref().map(Path::to_string_lossy));
        if !self.append.is_empty() {
            line.option("-append", self.append.join(" "));
        }
        line.0.extend(self.extra.iter().cloned());
        line.0
    }

    /// Console, monitor and trace in a private directory. QEMU connects to sockets that listen already and starts stopped,
    /// so that nothing that it says can be lost.
    fn sockets(&self, line: &mut Line, directory: &Path) {
        let socket = |id: &str, name: &str| format!("socket,id={id},path={}", escaped(&directory.join(name)));
        line.option("-chardev", socket("console", CONSOLE_SOCKET)).option("-serial", "chardev:console");
        line.option("-chardev", socket("qmp", QMP_SOCKET)).option("-qmp", "chardev:qmp");
        line.flag("-S");
        self.traces(line, TRACED);
        self.traces(line, &self.trace);
        // `-D` takes a plain path: nothing to escape.
        line.option("-D", directory.join(TRACE_LOG).to_string_lossy()).option("-msg", "timestamp=on");
    }

    fn traces<S: AsRef<str>>(&self, line: &mut Line, patterns: &[S]) {
        for pattern in patterns {
            line.option("-trace", pattern.as_ref());
        }
    }

    fn machine_option(&self) -> String {
        let asked = self.machine.as_deref().unwrap_or_default();
        let (first, rest) = asked.split_once(',').unwrap_or((asked, ""));
        let (name, further) =
            if first.is_empty() || first.contains('=') { ("pseries", asked) } else { (first, rest) };
        let mut option = name.to_owned();
        let mut add = |words: &str| option.extend([",", words]);
        if self.qemu.version < ACCEL_SINCE {
            add("accel=tcg");
        }
        if self.firmware == Firmware::Vof {
            add("x-vof=on");
        }
        if self.qemu.version >= MITIGATIONS_SINCE {
            // TCG has none of them, and warns where it is not told so.
            add("cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken");
        }
        if !further.is_empty() {
            add(further);
        }
        option
    }

    fn memory_option(&self) -> String {
        if self.memory.contains(',') { self.memory.clone() } else { format!("{},{MEMORY_ROOM}", self.memory) }
    }
}

/// Whether `object-add` of this version takes its properties beside the type.
pub fn object_add_is_flat(version: Version) -> bool {
    version >= FLAT_OBJECT_ADD_SINCE
}

/// A command line as it grows.
#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn flag(&mut self, name: &str) -> &mut Self {
        self.0.push(name.to_owned());
        self
    }

    fn option(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.0.extend([name.to_owned(), value.as_ref().to_owned()]);
        self
    }

    fn maybe(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Self {
        if let Some(value) = value {
            self.option(name, value);
        }
        self
    }
}

/// A path as a value among QEMU's options, where a comma ends a value.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// A command as it can be given to a shell.
pub fn for_shell(program: &Path, arguments: &[String]) -> String {
    let quoted = |word: &OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words = arguments.iter().map(OsStr::new);
    std::iter::once(program.as_os_str()).chain(words).map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Ends, Firmware, Setup, for_shell};
    use crate::qemu::{Qemu, Version};
    use std::path::{Path, PathBuf};

    fn setup(version: Version) -> Setup {
        let qemu = Qemu { program: "qemu".into(), version, banner: String::new() };
        Setup::new(qemu, PathBuf::from("/payload.elf"))
    }

    fn value<'a>(arguments: &'a [String], option: &str) -> Option<&'a str> {
        let at = arguments.iter().position(|argument| argument == option)?;
        arguments.get(at + 1).map(String::as_str)
    }

    #[test]
    fn the_default_machine_is_the_one_of_the_reference() {
        let arguments = setup(Version::new(7, 2, 22)).arguments(Ends::Sockets(Path::new("/p")));
        assert_eq!(
            value(&arguments, "-M"),
            Some("pseries,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken")
        );
        assert_eq!(value(&arguments, "-m"), Some("512M,slots=8,maxmem=4G"));
        assert_eq!(value(&arguments, "-accel"), Some("tcg"));
        assert_eq!(value(&arguments, "-chardev"), Some("socket,id=console,path=/p/console.sock"));
        assert!(arguments.contains(&"-S".to_owned()));
        assert_eq!(value(&arguments, "-append"), None);
    }

    #[test]
    fn an_old_qemu_is_not_told_what_it_does_not_know() {
        let mut setup = setup(Version::new(2, 6, 0));
        setup.firmware = Firmware::Slof;
        let arguments = setup.arguments(Ends::Sockets(Path::new("/p")));
        assert_eq!(value(&arguments, "-M"), Some("pseries,accel=tcg"));
        assert_eq!(value(&arguments, "-accel"), None);
    }

    #[test]
    fn further_options_may_name_the_machine_type() {
        let mut setup = setup(Version::new(10, 0, 0));
        setup.firmware = Firmware::Slof;
        setup.machine = Some("pseries-7.2,ic-mode=xics".into());
        let caps = "cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken";
        assert_eq!(setup.machine_option(), format!("pseries-7.2,{caps},ic-mode=xics"));
        setup.machine = Some("ic-mode=xics".into());
        assert_eq!(setup.machine_option(), format!("pseries,{caps},ic-mode=xics"));
    }

    #[test]
    fn on_the_terminal_there_are_no_sockets_and_nothing_waits() {
        let mut setup = setup(Version::new(7, 2, 22));
        setup.append = vec!["then=idle".into(), "ov5=-hp-evt".into()];
        let arguments = setup.arguments(Ends::Terminal);
        assert_eq!(value(&arguments, "-serial"), Some("mon:stdio"));
        assert_eq!(value(&arguments, "-append"), Some("then=idle ov5=-hp-evt"));
        assert!(!arguments.contains(&"-S".to_owned()));
    }

    #[test]
    fn what_stands_in_the_way_says_what_to_do() {
        let mut setup = setup(Version::new(6, 0, 0));
        let text = setup.check().expect_err("no payload").to_string();
        assert!(text.contains("make payload") && text.contains("/payload.elf"), "{text}");
        setup.payload = "/proc/self/exe".into();
        let text = setup.check().expect_err("no VOF").to_string();
        assert!(text.contains("--firmware slof"), "{text}");
    }

    #[test]
    fn commas_and_quotes_survive() {
        let arguments = setup(Version::new(7, 2, 22)).arguments(Ends::Sockets(Path::new("/a,b")));
        assert_eq!(value(&arguments, "-chardev"), Some("socket,id=console,path=/a,,b/console.sock"));
        let words = ["-append".to_owned(), "it's spapr_drc*".to_owned()];
        assert_eq!(for_shell(Path::new("qemu"), &words), r"qemu -append 'it'\''s spapr_drc*'");
    }
}
