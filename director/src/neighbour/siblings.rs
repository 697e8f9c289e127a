//! IPv6 routes of one prefix, table and metric.
//!
//! The kernel makes siblings of those that have gateways, one group at most, and tells of the whole
//! group when one joins (`inet6_rt_notify`, net/ipv6/route.c). What it tells of as a single route has no
//! siblings: one without gateway, one of a router's advertisement, one of a nexthop object
//! (`rt6_qualify_for_ecmp`, include/net/ip6_route.h), or the only one so far.

use super::candidate::{Candidate, Form, Placement};
use super::fib::SlotId;
use super::slots::Slots;
use super::world::World;

/// Puts a route where it stands among those of its prefix, in the place of those that it replaces.
pub(super) fn place(
    list: &mut Vec<Candidate>,
    slots: &mut Slots,
    new: Candidate,
    placement: Placement,
) {
    let told = told_before(list, slots, &new);
    let gone = match (told.is_empty(), placement) {
        (true, Placement::Replace) => replaced(list, slots, &new).into_iter().collect(),
        _ => told,
    };
    let behind = list.partition_point(|other| other.rank() <= new.rank());
    let at = gone.first().copied().unwrap_or(behind);
    for &old in gone.iter().rev() {
        slots.release(list.remove(old).slot);
    }
    list.insert(at, new);
}

/// The places of what has been told of a route before.
fn told_before(list: &[Candidate], slots: &Slots, new: &Candidate) -> Vec<usize> {
    let is_told = |old: &Candidate| match (new.form, old.form) {
        (Form::Group, Form::Group) => true,
        (Form::Group, Form::Single) => slots.contains(new.slot, old.slot),
        (Form::Object(new), Form::Object(old)) => new == old,
        _ => false,
    };
    let all = list.iter().enumerate();
    all.filter(|(_, old)| old.rank() == new.rank() && is_told(old))
        .map(|(at, _)| at)
        .collect()
}

/// The place of the route that is replaced by one of which nothing has been told before: one that
/// can have siblings if that one can, or else the first (`fib6_add_rt2node`, net/ipv6/ip6_fib.c).
fn replaced(list: &[Candidate], slots: &Slots, new: &Candidate) -> Option<usize> {
    let first = |which: &dyn Fn(&Candidate) -> bool| {
        let mut all = list.iter();
        all.position(|old| old.rank() == new.rank() && which(old))
    };
    let has_siblings = |one: &Candidate| match one.form {
        Form::Group => true,
        Form::Single => slots.gateways_only(one.slot),
        Form::Object(_) => false,
    };
    let group = || first(&|old| has_siblings(new) && old.form == Form::Group);
    let alike = || first(&|old| has_siblings(old) == has_siblings(new));
    group().or_else(alike).or_else(|| first(&|_| true))
}

/// Takes a route away, or some of a group.
pub(super) fn drop(list: &mut Vec<Candidate>, slots: &mut Slots, gone: &Candidate, world: &World) {
    let mut here = list.iter().enumerate();
    let is_it = |old: &Candidate| match (old.form, gone.form) {
        (Form::Object(old), Form::Object(gone)) => old == gone,
        (Form::Object(_), _) | (_, Form::Object(_)) => false,
        _ => old.slot == gone.slot,
    };
    let whole = here.position(|(_, old)| old.rank() == gone.rank() && is_it(old));
    if let Some(at) = whole {
        return slots.release(list.remove(at).slot);
    }
    let is_partly = |old: &Candidate| {
        let is_object = [old.form, gone.form]
            .iter()
            .any(|form| matches!(form, Form::Object(_)));
        old.rank() == gone.rank() && !is_object && slots.contains(old.slot, gone.slot)
    };
    if let Some(at) = list.iter().position(is_partly) {
        drop_part(list, slots, (at, gone.slot), world);
    }
}

/// Takes the next hops of `gone` from the group at a place.
fn drop_part(
    list: &mut Vec<Candidate>,
    slots: &mut Slots,
    (at, gone): (usize, SlotId),
    world: &World,
) {
    let old = list[at].slot;
    match slots.without(old, gone, world) {
        Some(left) => list[at].slot = left,
        None => _ = list.remove(at),
    }
    slots.release(old);
}
