//! The services, as each firmware answers them.

use super::{FakeNode, Firmware};
use crate::machine::{Arg, ClientInterface, ServiceError};
use core::ffi::CStr;

/// "No" in a cell.
const NO: u32 = u32::MAX;
/// The most cells that a call to VOF can have.
const CELLS: usize = 10;
/// The longest path that VOF can print, with its NUL.
const VOF_PATH: usize = 256;

impl ClientInterface for Firmware {
    fn service(&mut self, name: &CStr, args: &mut [Arg<'_>], rets: &mut [u32]) -> Result<(), ServiceError> {
        let call = self.calls;
        self.calls += 1;
        if let Some((_, error)) = self.failure.filter(|(at, _)| *at == call) {
            return Err(error);
        }
        if self.quiesced && !self.dialect.is_vof() {
            return Err(ServiceError::Gone);
        }
        if args.len() + rets.len() > CELLS {
            return Err(ServiceError::TooManyCells);
        }
        match self.answer(name.to_bytes(), args) {
            Some(answer) => rets.iter_mut().zip(answer).for_each(|(ret, answer)| *ret = answer),
            // SLOF prints that there is no such service, and leaves the results alone.
            None if self.dialect.is_vof() => rets.iter_mut().take(1).for_each(|ret| *ret = NO),
            None => {}
        }
        Ok(())
    }
}

impl Firmware {
    /// The results of a service, of which the caller takes as many as it has room for.
    fn answer(&mut self, service: &[u8], args: &mut [Arg<'_>]) -> Option<[u32; 2]> {
        let first = match (service, args) {
            (b"finddevice", [Arg::Str(path)]) => self.finddevice(path),
            (b"getprop", [Arg::Cell(node), Arg::Str(name), Arg::Out(value), Arg::Cell(room)]) => {
                assert_eq!(value.len(), *room as usize);
                self.getprop(*node, name.to_bytes(), value)
            }
            (b"getproplen", [Arg::Cell(node), Arg::Str(name)]) => {
                self.getprop(*node, name.to_bytes(), &mut [])
            }
            (b"nextprop", [Arg::Cell(node), Arg::Str(previous), Arg::Out(name)]) => {
                self.nextprop(*node, previous.to_bytes(), name)
            }
            (b"peer", [Arg::Cell(0)]) => self.root,
            (b"peer", [Arg::Cell(node)]) => self.nodes.get(node).map_or(0, |node| node.peer),
            (b"child", [Arg::Cell(node)]) => self.nodes.get(node).map_or(0, |node| node.child),
            (b"parent", [Arg::Cell(node)]) => self.nodes.get(node).map_or(0, |node| node.parent),
            (b"package-to-path", [Arg::Cell(node), Arg::Out(path), Arg::Cell(room)]) => {
                assert_eq!(path.len(), *room as usize);
                self.package_to_path(*node, path)
            }
            (b"instance-to-package", [Arg::Cell(instance)]) => {
                self.instances.get(instance).copied().unwrap_or(NO)
            }
            (b"open", [Arg::Str(path)]) => self.open(path),
            (b"close", [Arg::Cell(instance)]) => {
                self.instances.remove(instance);
                0
            }
            (b"claim", [Arg::Cell(address), Arg::Cell(size), Arg::Cell(align)]) => {
                self.claim(*address, *size, *align)
            }
            (b"call-method", [Arg::Str(method), Arg::Cell(instance), rest @ ..]) => {
                return Some(self.call_method(method.to_bytes(), *instance, rest));
            }
            (b"quiesce", []) => {
                self.quiesced = true;
                0
            }
            _ => return None,
        };
        Some([first, 0])
    }

    /// The node at a path, where a part without a unit address means the first node of that name.
    fn finddevice(&self, path: &CStr) -> u32 {
        let path = path.to_bytes();
        if path.first() != Some(&b'/') {
            return NO;
        }
        let mut at = self.root;
        for part in path.split(|&byte| byte == b'/').filter(|part| !part.is_empty()) {
            at = self.nodes.get(&at).map_or(0, |node| node.child);
            while let Some(node) = self.nodes.get(&at).filter(|node| node.name != part && stem(node) != part)
            {
                at = node.peer;
            }
        }
        if self.nodes.contains_key(&at) { at } else { NO }
    }

    /// The properties that are listed.
    fn listed<'n>(&self, node: &'n FakeNode) -> impl Iterator<Item = &'n [u8]> {
        let name = (self.dialect != super::Dialect::OldVof).then_some(&b"name"[..]);
        name.into_iter().chain(node.properties.iter().map(|(name, _)| &name[..]))
    }

    fn getprop(&self, node: u32, name: &[u8], to: &mut [u8]) -> u32 {
        let Some(node) = self.nodes.get(&node) else { return NO };
        let found = node.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let value = match found {
            Some(value) => value,
            None if name == b"name" => [stem(node), b"\0"].concat(),
            None if node.endless => name.to_vec(),
            None => return NO,
        };
        let len = value.len().min(to.len());
        to[..len].copy_from_slice(&value[..len]);
        value.len() as u32
    }

    fn nextprop(&self, node: u32, previous: &[u8], to: &mut [u8]) -> u32 {
        let Some(node) = self.nodes.get(&node) else { return NO };
        let mut listed = self.listed(node);
        if !previous.is_empty() && !listed.any(|name| name == previous) && !node.endless {
            return NO;
        }
        match listed.next() {
            Some(name) => put(name, to),
            None if node.endless => put(format!("more-{}", self.calls).as_bytes(), to),
            None => {
                to[0] = 0;
                return 0;
            }
        };
        1
    }

    fn package_to_path(&self, node: u32, to: &mut [u8]) -> u32 {
        if !self.nodes.contains_key(&node) {
            return NO;
        }
        let mut path = self.path_bytes(node);
        if path.is_empty() {
            path.push(b'/');
        }
        if !self.dialect.is_vof() {
            put(&path, to);
            return path.len() as u32;
        }
        if path.len() >= VOF_PATH {
            return NO;
        }
        put(&path, to);
        path.len() as u32 + 1
    }

    fn open(&mut self, path: &CStr) -> u32 {
        let node = self.finddevice(path);
        match (node, self.dialect.is_vof()) {
            (NO, true) => NO,
            (NO, false) => 0,
            (_, vof) => {
                let first = if vof { 1 } else { 0x0df0_0000 };
                let instance = self.instances.last_key_value().map_or(first, |(last, _)| last + 1);
                self.instances.insert(instance, node);
                instance
            }
        }
    }

    /// VOF claims from the bottom, SLOF from the top.
    fn claim(&mut self, address: u32, size: u32, align: u32) -> u32 {
        let (start, end) = (self.free.start, self.free.end);
        let base = match (align, self.dialect.is_vof()) {
            (0, _) => Some(address),
            (_, true) => start.checked_next_multiple_of(align),
            (_, false) => end.checked_sub(size).map(|base| base / align * align),
        };
        let taken = base.and_then(|base| Some((base, base.checked_add(size)?)));
        let Some((base, past)) = taken.filter(|(base, past)| *base >= start && *past <= end) else {
            return NO;
        };
        self.free = if self.dialect.is_vof() { past..end } else { start..base };
        base
    }

    fn call_method(&mut self, method: &[u8], instance: u32, args: &[Arg<'_>]) -> [u32; 2] {
        let node = self.instances.get(&instance).copied();
        match (method, args, node) {
            (b"ibm,client-architecture-support", [Arg::In(vectors)], Some(node)) if node == self.root => {
                self.asked = vectors.to_vec();
                let status = self.cas_status.cast_unsigned();
                if status == 0 {
                    self.renew();
                }
                match (status, self.dialect.is_vof()) {
                    (_, true) => [status, 0],
                    (0, false) => [0, 0],
                    (_, false) => [0, NO],
                }
            }
            (b"instantiate-rtas", [Arg::Cell(base)], Some(node)) if self.path(node) == "/rtas" => [0, *base],
            _ => [NO, NO],
        }
    }
}

/// The name without the unit address.
fn stem(node: &FakeNode) -> &[u8] {
    node.name.split(|&byte| byte == b'@').next().unwrap_or_default()
}

/// Writes a string with its NUL as far as it fits.
fn put(text: &[u8], to: &mut [u8]) {
    let ended = text.iter().chain(&[0]);
    to.iter_mut().zip(ended).for_each(|(to, byte)| *to = *byte);
}
