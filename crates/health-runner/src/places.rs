//! Who may be in flight: bounds per process, per host and for what hangs, and a fair queue for those who must wait.
//!
//! Pure bookkeeping: it knows neither clocks nor tasks. A probe takes a quick place; one that has not been answered for
//! long is moved to the hung ones, so that hung targets never hold the places of healthy ones, and a check that hung
//! last time (a suspect) asks for a hung place to begin with.

use std::collections::{HashMap, VecDeque};

use crate::registry::Slot;

/// Which bound a run counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Bounded per process and per host.
    Quick,
    /// Bounded per process only: nothing but memory and a socket is held.
    Hung,
}

/// A run that waits for a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) slot: Slot,
    pub(crate) number: u64,
}

/// A target host, as an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(usize);

/// How many may be in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) quick: usize,
    pub(crate) quick_per_host: usize,
    pub(crate) hung: usize,
}

/// How often a run had to wait, by the bound that made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hits {
    pub(crate) process: u64,
    pub(crate) host: u64,
    pub(crate) hung: u64,
}

#[derive(Debug, Default)]
struct Host {
    name: Option<Box<str>>,
    checks: usize,
    quick: usize,
    waiting: VecDeque<Waiter>,
    /// Whether it stands in the ring of hosts that could start a waiting run as far as their own bound goes.
    in_ring: bool,
}

/// The places there are, and who waits for one.
#[derive(Debug)]
pub(crate) struct Places {
    bounds: Bounds,
    quick: usize,
    hung: usize,
    hosts: Vec<Host>,
    vacant: Vec<usize>,
    by_name: HashMap<Box<str>, usize>,
    ring: VecDeque<usize>,
    suspects: VecDeque<Waiter>,
    waiting: usize,
    hits: Hits,
}

/// Probes that dial no host of their own share this one, which has no bound.
const NOWHERE: usize = 0;

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            quick: 0,
            hung: 0,
            hosts: vec![Host::default()],
            vacant: Vec::new(),
            by_name: HashMap::new(),
            ring: VecDeque::new(),
            suspects: VecDeque::new(),
            waiting: 0,
            hits: Hits::default(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.quick + self.hung
    }

    pub(crate) fn hung(&self) -> usize {
        self.hung
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn hits(&self) -> Hits {
        self.hits
    }

    /// A check that dials this host is registered.
    pub(crate) fn enlist(&mut self, name: Option<String>) -> HostKey {
        let Some(name) = name else { return HostKey(NOWHERE) };
        let index = match self.by_name.get(name.as_str()) {
            Some(index) => *index,
            None => self.settle(name.into_boxed_str()),
        };
        self.hosts[index].checks += 1;
        HostKey(index)
    }

    fn settle(&mut self, name: Box<str>) -> usize {
        let host = Host { name: Some(name.clone()), ..Host::default() };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.hosts[index] = host;
                index
            }
            None => {
                self.hosts.push(host);
                self.hosts.len() - 1
            }
        };
        self.by_name.insert(name, index);
        index
    }

    /// A check that dialled this host is gone; its run must have left or been withdrawn before.
    pub(crate) fn discharge(&mut self, host: HostKey) {
        let entry = &mut self.hosts[host.0];
        entry.checks = entry.checks.saturating_sub(1);
        if host.0 != NOWHERE && entry.checks == 0 {
            self.ring.retain(|index| *index != host.0);
            if let Some(name) = self.hosts[host.0].name.take() {
                self.by_name.remove(&name);
                self.vacant.push(host.0);
            }
        }
    }

    /// Takes a place, or queues.
    pub(crate) fn seat(&mut self, host: HostKey, suspect: bool, waiter: Waiter) -> Option<Place> {
        if suspect {
            return self.seat_suspect(waiter);
        }
        let free = self.host_has_room(host.0);
        if free && self.quick < self.bounds.quick && self.hosts[host.0].waiting.is_empty() {
            return Some(self.take_quick(host.0));
        }
        if free {
            self.hits.process += 1;
        } else {
            self.hits.host += 1;
        }
        self.hosts[host.0].waiting.push_back(waiter);
        self.waiting += 1;
        self.enter_ring(host.0);
        None
    }

    fn seat_suspect(&mut self, waiter: Waiter) -> Option<Place> {
        if self.hung < self.bounds.hung && self.suspects.is_empty() {
            self.hung += 1;
            return Some(Place::Hung);
        }
        self.hits.hung += 1;
        self.suspects.push_back(waiter);
        self.waiting += 1;
        None
    }

    fn host_has_room(&self, host: usize) -> bool {
        host == NOWHERE || self.hosts[host].quick < self.bounds.quick_per_host
    }

    fn take_quick(&mut self, host: usize) -> Place {
        self.quick += 1;
        self.hosts[host].quick += 1;
        Place::Quick
    }

    fn enter_ring(&mut self, host: usize) {
        if !self.hosts[host].in_ring && !self.hosts[host].waiting.is_empty() && self.host_has_room(host) {
            self.hosts[host].in_ring = true;
            self.ring.push_back(host);
        }
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, host: HostKey, place: Place) {
        match place {
            Place::Hung => self.hung -= 1,
            Place::Quick => self.leave_quick(host.0),
        }
    }

    fn leave_quick(&mut self, host: usize) {
        self.quick -= 1;
        self.hosts[host].quick -= 1;
        self.enter_ring(host);
    }

    /// A run in a quick place has not been answered for long: moves it to the hung ones, if there is room.
    pub(crate) fn slow(&mut self, host: HostKey) -> bool {
        if self.hung >= self.bounds.hung {
            return false;
        }
        self.leave_quick(host.0);
        self.hung += 1;
        true
    }

    /// The next waiting run for which there is a place now, already seated. Hosts take turns.
    pub(crate) fn next(&mut self) -> Option<(Waiter, Place)> {
        if self.hung < self.bounds.hung
            && let Some(waiter) = self.suspects.pop_front()
        {
            self.waiting -= 1;
            self.hung += 1;
            return Some((waiter, Place::Hung));
        }
        while self.quick < self.bounds.quick {
            let host = self.ring.pop_front()?;
            self.hosts[host].in_ring = false;
            if !self.host_has_room(host) {
                continue;
            }
            let Some(waiter) = self.hosts[host].waiting.pop_front() else { continue };
            self.waiting -= 1;
            let place = self.take_quick(host);
            self.enter_ring(host);
            return Some((waiter, place));
        }
        None
    }

    /// A waiting run is not wanted any more.
    pub(crate) fn withdraw(&mut self, host: HostKey, number: u64) {
        for queue in [&mut self.hosts[host.0].waiting, &mut self.suspects] {
            let before = queue.len();
            queue.retain(|waiter| waiter.number != number);
            self.waiting -= before - queue.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(number: u64) -> Waiter {
        Waiter { slot: Slot::for_test(u32::try_from(number).unwrap()), number }
    }

    fn places(quick: usize, quick_per_host: usize, hung: usize) -> Places {
        Places::new(Bounds { quick, quick_per_host, hung })
    }

    #[test]
    fn a_host_at_its_bound_does_not_block_another() {
        let mut places = places(10, 1, 1);
        let busy = places.enlist(Some("busy".to_owned()));
        let calm = places.enlist(Some("calm".to_owned()));
        assert_eq!(places.seat(busy, false, waiter(1)), Some(Place::Quick));
        assert_eq!(places.seat(busy, false, waiter(2)), None);
        assert_eq!(places.seat(calm, false, waiter(3)), Some(Place::Quick));
        assert_eq!(places.hits(), Hits { process: 0, host: 1, hung: 0 });
        assert_eq!(places.next(), None);
        places.leave(busy, Place::Quick);
        assert_eq!(places.next(), Some((waiter(2), Place::Quick)));
        assert_eq!(places.waiting(), 0);
    }

    #[test]
    fn waiting_hosts_take_turns() {
        let mut places = places(1, 5, 1);
        let long = places.enlist(Some("long".to_owned()));
        let short = places.enlist(Some("short".to_owned()));
        assert_eq!(places.seat(long, false, waiter(0)), Some(Place::Quick));
        for number in 1..=3 {
            assert_eq!(places.seat(long, false, waiter(number)), None);
        }
        assert_eq!(places.seat(short, false, waiter(9)), None);
        let mut order = Vec::new();
        let mut host = long;
        for _ in 0..4 {
            places.leave(host, Place::Quick);
            let (next, _) = places.next().unwrap();
            host = if next.number == 9 { short } else { long };
            order.push(next.number);
        }
        assert_eq!(order, [1, 9, 2, 3]);
    }

    #[test]
    fn a_hung_run_gives_its_quick_place_to_the_next() {
        let mut places = places(1, 1, 1);
        let host = places.enlist(Some("host".to_owned()));
        assert_eq!(places.seat(host, false, waiter(1)), Some(Place::Quick));
        assert_eq!(places.seat(host, false, waiter(2)), None);
        assert!(places.slow(host));
        assert_eq!(places.next(), Some((waiter(2), Place::Quick)));
        assert!(!places.slow(host), "the hung ones are bounded too");
        assert_eq!((places.in_flight(), places.hung()), (2, 1));
    }

    #[test]
    fn a_suspect_waits_for_a_hung_place_and_never_takes_a_quick_one() {
        let mut places = places(10, 10, 1);
        let host = places.enlist(Some("host".to_owned()));
        assert_eq!(places.seat(host, true, waiter(1)), Some(Place::Hung));
        assert_eq!(places.seat(host, true, waiter(2)), None);
        assert_eq!(places.next(), None);
        places.leave(host, Place::Hung);
        assert_eq!(places.next(), Some((waiter(2), Place::Hung)));
    }

    #[test]
    fn a_withdrawn_waiter_is_never_seated_and_a_deserted_host_is_forgotten() {
        let mut places = places(1, 1, 1);
        let host = places.enlist(Some("host".to_owned()));
        assert_eq!(places.seat(host, false, waiter(1)), Some(Place::Quick));
        assert_eq!(places.seat(host, false, waiter(2)), None);
        places.withdraw(host, 2);
        places.leave(host, Place::Quick);
        assert_eq!(places.next(), None);
        assert_eq!(places.waiting(), 0);
        places.discharge(host);
        assert!(places.by_name.is_empty());
        assert_eq!(places.enlist(Some("other".to_owned())), host, "its entry is used again");
    }
}
