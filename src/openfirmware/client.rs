//! The client interface: each service as a function with types.
//!
//! Two firmwares stand behind it, and they say "no" in different ways: SLOF's `open` returns 0 where VOF's returns -1,
//! SLOF leaves the results of a service that it does not have alone where VOF answers -1, and a path has its NUL
//! counted by the one and not by the other. These functions hide that. A service that says "there is none" gives
//! `None`; an answer that the specification does not have is a [`ClientError`].
//!
//! Nothing here allocates: the first calls are made before there is a heap.
//!
//! Ref: IEEE 1275 6.3.2, QEMU hw/ppc/vof.c

#[cfg(test)]
mod tests;

use crate::machine::{Arg, ClientInterface, ServiceError};
use crate::papr::status::ReturnCode;
use core::ffi::CStr;
use core::fmt;

/// What the firmware calls a node. CAS may make all of them worthless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phandle(pub u32);

/// What the firmware calls an opened node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ihandle(pub u32);

/// The answer that says "no": -1 in a cell.
const NO: u32 = u32::MAX;
/// The longest property name that is taken, with its NUL. IEEE 1275 allows 32 bytes, PAPR's own names are longer, and
/// the firmware is not told how much room there is.
pub const NAME_MAX: usize = 256;
/// The longest path that is taken, with its NUL. VOF writes up to 256 bytes, whatever it is told.
pub const PATH_MAX: usize = 512;

/// A service failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// It could not be called.
    Service(ServiceError),
    /// It answered what the specification does not have for it, or that it failed where it cannot.
    Answer {
        /// The service.
        service: &'static CStr,
        /// Its answer.
        answer: u32,
    },
    /// A buffer is larger than a cell can say.
    Size(usize),
}

impl From<ServiceError> for ClientError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            Self::Answer { service, answer } => {
                write!(f, "{} answered {answer:#x}", service.to_str().unwrap_or("a service"))
            }
            Self::Size(bytes) => write!(f, "a buffer of {bytes} bytes is too large for the client interface"),
        }
    }
}

/// What a service gives.
pub type Answer<T> = Result<T, ClientError>;

fn call<M, const N: usize>(machine: &mut M, service: &CStr, args: &mut [Arg<'_>]) -> Answer<[u32; N]>
where
    M: ClientInterface + ?Sized,
{
    // A cell that nobody writes is a "no".
    let mut rets = [NO; N];
    machine.service(service, args, &mut rets)?;
    Ok(rets)
}

fn cell_of(len: usize) -> Answer<u32> {
    u32::try_from(len).map_err(|_| ClientError::Size(len))
}

/// A length, where the answer is not "no".
fn length(answer: u32) -> Option<usize> {
    // A usize holds a u32 on every machine that this runs on.
    (answer != NO).then_some(answer as usize)
}

fn signed(cell: u32) -> ReturnCode {
    ReturnCode(i64::from(cell.cast_signed()))
}

/// The node at a path.
///
/// Ref: IEEE 1275 6.3.2.2 (finddevice)
pub fn finddevice<M: ClientInterface + ?Sized>(machine: &mut M, path: &CStr) -> Answer<Option<Phandle>> {
    let [node] = call(machine, c"finddevice", &mut [Arg::Str(path)])?;
    // VOF answers 0 for every node when its tree was replaced behind its back.
    Ok((node != NO && node != 0).then_some(Phandle(node)))
}

/// Reads a property into `value` as far as it fits, and returns its full length.
///
/// Ref: IEEE 1275 6.3.2.2 (getprop)
pub fn getprop<M>(machine: &mut M, node: Phandle, name: &CStr, value: &mut [u8]) -> Answer<Option<usize>>
where
    M: ClientInterface + ?Sized,
{
    let len = cell_of(value.len())?;
    let args = &mut [Arg::Cell(node.0), Arg::Str(name), Arg::Out(value), Arg::Cell(len)];
    call(machine, c"getprop", args).map(|[len]| length(len))
}

/// A property of one cell. `None` as well where it has another length.
///
/// Ref: IEEE 1275 6.3.2.2 (getprop)
pub fn getprop_cell<M>(machine: &mut M, node: Phandle, name: &CStr) -> Answer<Option<u32>>
where
    M: ClientInterface + ?Sized,
{
    let mut cell = [0; 4];
    let len = getprop(machine, node, name, &mut cell)?;
    Ok((len == Some(cell.len())).then_some(u32::from_be_bytes(cell)))
}

/// The length of a property in bytes.
///
/// Ref: IEEE 1275 6.3.2.2 (getproplen)
pub fn getproplen<M>(machine: &mut M, node: Phandle, name: &CStr) -> Answer<Option<usize>>
where
    M: ClientInterface + ?Sized,
{
    let args = &mut [Arg::Cell(node.0), Arg::Str(name)];
    call(machine, c"getproplen", args).map(|[len]| length(len))
}

/// The property after `previous`, which is empty for the first one. Its name lands in `name`.
///
/// VOF of QEMU before 11 leaves out `name`, which [`getprop`] knows all the same.
///
/// # Errors
/// [`ClientError::Answer`] when the node has no property `previous`, or the name has no end.
/// Ref: IEEE 1275 6.3.2.2 (nextprop)
pub fn nextprop<'b, M>(
    machine: &mut M,
    node: Phandle,
    previous: &CStr,
    name: &'b mut [u8; NAME_MAX],
) -> Answer<Option<&'b CStr>>
where
    M: ClientInterface + ?Sized,
{
    const SERVICE: &CStr = c"nextprop";
    let args = &mut [Arg::Cell(node.0), Arg::Str(previous), Arg::Out(&mut name[..])];
    let [answer] = call(machine, SERVICE, args)?;
    match (answer, CStr::from_bytes_until_nul(name)) {
        (0, _) => Ok(None),
        (1, Ok(name)) => Ok(Some(name)),
        _ => Err(ClientError::Answer { service: SERVICE, answer }),
    }
}

/// A step in the tree: 0 says that there is no such node.
fn step<M>(machine: &mut M, service: &'static CStr, node: u32) -> Answer<Option<Phandle>>
where
    M: ClientInterface + ?Sized,
{
    match call(machine, service, &mut [Arg::Cell(node)])? {
        [0] => Ok(None),
        [NO] => Err(ClientError::Answer { service, answer: NO }),
        [node] => Ok(Some(Phandle(node))),
    }
}

/// The root.
///
/// Ref: IEEE 1275 6.3.2.2 (peer)
pub fn root<M: ClientInterface + ?Sized>(machine: &mut M) -> Answer<Option<Phandle>> {
    step(machine, c"peer", 0)
}

/// The next sibling.
///
/// Ref: IEEE 1275 6.3.2.2 (peer)
pub fn peer<M: ClientInterface + ?Sized>(machine: &mut M, node: Phandle) -> Answer<Option<Phandle>> {
    step(machine, c"peer", node.0)
}

/// The first child.
///
/// Ref: IEEE 1275 6.3.2.2 (child)
pub fn child<M: ClientInterface + ?Sized>(machine: &mut M, node: Phandle) -> Answer<Option<Phandle>> {
    step(machine, c"child", node.0)
}

/// The full path of a node, with the unit addresses that its `name` lacks. `None` for a node that is none.
///
/// # Errors
/// [`ClientError::Answer`] when the path fills `path`: SLOF cuts what does not fit, and does not say so.
/// Ref: IEEE 1275 6.3.2.2 (package-to-path)
pub fn package_to_path<'b, M>(
    machine: &mut M,
    node: Phandle,
    path: &'b mut [u8; PATH_MAX],
) -> Answer<Option<&'b [u8]>>
where
    M: ClientInterface + ?Sized,
{
    const SERVICE: &CStr = c"package-to-path";
    let room = cell_of(path.len())?;
    let args = &mut [Arg::Cell(node.0), Arg::Out(&mut path[..]), Arg::Cell(room)];
    let [answer] = call(machine, SERVICE, args)?;
    let Some(len) = length(answer) else { return Ok(None) };
    let whole = path.get(..len).filter(|path| path.len() < PATH_MAX);
    // VOF counts the NUL, SLOF does not.
    let text = whole.and_then(|path| path.split(|&byte| byte == 0).next());
    text.map(Some).ok_or(ClientError::Answer { service: SERVICE, answer })
}

/// The node that an instance was opened from.
///
/// Ref: IEEE 1275 6.3.2.2 (instance-to-package)
pub fn instance_to_package<M>(machine: &mut M, instance: Ihandle) -> Answer<Option<Phandle>>
where
    M: ClientInterface + ?Sized,
{
    let [node] = call(machine, c"instance-to-package", &mut [Arg::Cell(instance.0)])?;
    Ok((node != NO && node != 0).then_some(Phandle(node)))
}

/// Opens a node. `None` where that fails: SLOF says so with 0, VOF with -1.
///
/// Ref: IEEE 1275 6.3.2.3 (open)
pub fn open<M: ClientInterface + ?Sized>(machine: &mut M, path: &CStr) -> Answer<Option<Ihandle>> {
    let [instance] = call(machine, c"open", &mut [Arg::Str(path)])?;
    Ok((instance != NO && instance != 0).then_some(Ihandle(instance)))
}

/// Closes what [`open`] opened.
///
/// Ref: IEEE 1275 6.3.2.3 (close)
pub fn close<M: ClientInterface + ?Sized>(machine: &mut M, instance: Ihandle) -> Answer<()> {
    call(machine, c"close", &mut [Arg::Cell(instance.0)]).map(|[]| ())
}

/// What `ibm,client-architecture-support` answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CasAnswer {
    /// How the method ended. VOF puts the hypervisor's return code here.
    pub catch: ReturnCode,
    /// What it returned. SLOF says with -1 that the negotiation failed.
    pub result: ReturnCode,
}

impl CasAnswer {
    /// Whether the negotiation worked, by either firmware's way of saying so.
    pub fn granted(self) -> bool {
        self.catch == ReturnCode::SUCCESS && self.result == ReturnCode::SUCCESS
    }
}

/// Negotiates: `root` is the instance of `/`, `vectors` where the processor list is, followed by the option vectors.
///
/// Afterwards every handle is to be looked up again.
///
/// Ref: LoPAR B.6.2.3 (ibm,client-architecture-support)
pub fn client_architecture_support<M>(machine: &mut M, root: Ihandle, vectors: Arg<'_>) -> Answer<CasAnswer>
where
    M: ClientInterface + ?Sized,
{
    let args = &mut [Arg::Str(c"ibm,client-architecture-support"), Arg::Cell(root.0), vectors];
    let [catch, result] = call(machine, c"call-method", args)?;
    Ok(CasAnswer { catch: signed(catch), result: signed(result) })
}

/// Puts RTAS at the real address `base`, which [`claim`] gave; `rtas` is the instance of `/rtas`. Returns its entry.
///
/// # Errors
/// [`ClientError::Answer`] with the catch result when the firmware refuses.
/// Ref: LoPAR B.6.3.1 (instantiate-rtas)
pub fn instantiate_rtas<M: ClientInterface + ?Sized>(
    machine: &mut M,
    rtas: Ihandle,
    base: u32,
) -> Answer<u32> {
    const METHOD: &CStr = c"instantiate-rtas";
    match call(machine, c"call-method", &mut [Arg::Str(METHOD), Arg::Cell(rtas.0), Arg::Cell(base)])? {
        [0, entry] if entry != NO && entry != 0 => Ok(entry),
        [0, answer] | [answer, _] => Err(ClientError::Answer { service: METHOD, answer }),
    }
}

/// Claims `size` bytes of real memory at any multiple of `align`, a power of two. `None` when there is no room.
///
/// Ref: IEEE 1275 6.3.2.4 (claim)
pub fn claim<M: ClientInterface + ?Sized>(machine: &mut M, size: u32, align: u32) -> Answer<Option<u32>> {
    const ANYWHERE: u32 = 0;
    // An alignment of 0 would ask for exactly the given address.
    let args = &mut [Arg::Cell(ANYWHERE), Arg::Cell(size), Arg::Cell(align.max(1))];
    let [base] = call(machine, c"claim", args)?;
    // Address 0 is the firmware's own, so nobody hands it out.
    Ok((base != NO && base != 0).then_some(base))
}

/// Claims `size` bytes of real memory at exactly `base`; whether they were free.
///
/// Ref: IEEE 1275 6.3.2.4 (claim)
pub fn claim_at<M: ClientInterface + ?Sized>(machine: &mut M, base: u32, size: u32) -> Answer<bool> {
    const EXACTLY: u32 = 0;
    let [given] = call(machine, c"claim", &mut [Arg::Cell(base), Arg::Cell(size), Arg::Cell(EXACTLY)])?;
    Ok(given == base)
}

/// Ends the firmware's own activities. SLOF is gone afterwards.
///
/// Ref: IEEE 1275 6.3.2.6 (quiesce)
pub fn quiesce<M: ClientInterface + ?Sized>(machine: &mut M) -> Answer<()> {
    call(machine, c"quiesce", &mut []).map(|[]| ())
}

/// Which firmware this is, by the name that it gives itself under `/openprom`: `slof`, `vof` or `unknown`.
///
/// VOF does not have that node. What has it and is not SLOF is unknown.
pub fn firmware<M: ClientInterface + ?Sized>(machine: &mut M) -> Answer<&'static str> {
    let Some(node) = finddevice(machine, c"/openprom")? else { return Ok("vof") };
    let mut model = [0; 4];
    getprop(machine, node, c"model", &mut model)?;
    Ok(if &model == b"SLOF" { "slof" } else { "unknown" })
}

/// The unit number of the terminal that the firmware writes to, as the hypervisor's terminal calls take it.
///
/// Ref: LoPAR B.6.5 (/chosen stdout)
pub fn stdout_unit<M: ClientInterface + ?Sized>(machine: &mut M) -> Answer<Option<u32>> {
    let Some(chosen) = finddevice(machine, c"/chosen")? else { return Ok(None) };
    let instance = getprop_cell(machine, chosen, c"stdout")?.filter(|&instance| instance != 0);
    let node = match instance {
        Some(instance) => instance_to_package(machine, Ihandle(instance))?,
        None => None,
    };
    match node {
        Some(node) => getprop_cell(machine, node, c"reg"),
        None => stdout_unit_by_path(machine, chosen),
    }
}

fn stdout_unit_by_path<M: ClientInterface + ?Sized>(machine: &mut M, chosen: Phandle) -> Answer<Option<u32>> {
    let mut path = [0; PATH_MAX];
    getprop(machine, chosen, c"stdout-path", &mut path)?;
    let Ok(path) = CStr::from_bytes_until_nul(&path) else { return Ok(None) };
    if path.is_empty() {
        return Ok(None);
    }
    match finddevice(machine, path)? {
        Some(node) => getprop_cell(machine, node, c"reg"),
        None => Ok(None),
    }
}
