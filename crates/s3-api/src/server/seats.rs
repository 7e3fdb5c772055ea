use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

/// How many connections each client has.
#[derive(Clone)]
pub(super) struct Seats {
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
}

/// A client's place. Dropping it gives it back.
pub(super) struct Seat {
    seats: Seats,
    client: IpAddr,
}

impl Seats {
    pub(super) fn new(each_max: usize) -> Self {
        Self {
            taken: Arc::default(),
            each_max,
        }
    }

    /// A place for this client; none if it has as many as it may.
    pub(super) fn take(&self, address: IpAddr) -> Option<Seat> {
        let client = client(address);
        let mut taken = self.taken.lock().expect("nothing panics while it is held");
        let count = taken.entry(client).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Seat {
            seats: self.clone(),
            client,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self
            .seats
            .taken
            .lock()
            .expect("nothing panics while it is held");
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

/// Who counts as one client. An IPv6 customer is given at least a /64 (RFC 6177) and may come from any address in it.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        IpAddr::V4(v4) => IpAddr::V4(v4),
    }
}

#[cfg(test)]
mod tests {
    use super::Seats;

    #[test]
    fn each_client_has_its_own_places_and_gives_them_back() {
        let seats = Seats::new(2);
        let take = |address: &str| seats.take(address.parse().unwrap());
        let first = take("192.0.2.1").unwrap();
        let _second = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some());
        drop(first);
        assert!(take("192.0.2.1").is_some());
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let seats = Seats::new(1);
        let take = |address: &str| seats.take(address.parse().unwrap());
        let _seat = take("2001:db8:0:1::1").unwrap();
        assert!(take("2001:db8:0:1:ffff::2").is_none());
        assert!(take("2001:db8:0:2::1").is_some());
    }

    #[test]
    fn clients_that_left_cost_no_memory() {
        let seats = Seats::new(1);
        for last in 0..=255 {
            drop(seats.take(std::net::IpAddr::from([192, 0, 2, last])));
        }
        assert!(seats.taken.lock().unwrap().is_empty());
    }
}
