//! The names of versions and uploads as clients see them, made from the order number.
//!
//! A name is 32 hexadecimal digits: the order, covered so that nobody reads a sequence out of it, and a check over it,
//! both keyed by the store's own id. A name made up, cut, or from another store therefore leads nowhere, and a right
//! one leads to its row by one point read.

use two_buckets_objects::{Algorithm, VersionId};

use crate::multipart::UploadId;
use crate::row_keys::Order;

/// The random id of a store, made when its folder is made.
pub(crate) type StoreId = [u8; 16];

const HALF: usize = 8;

/// What a name is of; names of different kinds never lead to each other.
#[derive(Clone, Copy)]
enum Kind {
    Version = 1,
    Upload = 2,
}

pub(crate) fn version_id(store: &StoreId, order: Order) -> VersionId {
    VersionId::new(name(store, Kind::Version, order))
}

/// The order in a version id of this store; none if it is not one.
pub(crate) fn version_order(store: &StoreId, id: &str) -> Option<Order> {
    order(store, Kind::Version, id)
}

pub(crate) fn upload_id(store: &StoreId, order: Order) -> UploadId {
    UploadId(name(store, Kind::Upload, order))
}

/// The order in an upload id of this store; none if it is not one.
pub(crate) fn upload_order(store: &StoreId, id: &UploadId) -> Option<Order> {
    order(store, Kind::Upload, &id.0)
}

fn name(store: &StoreId, kind: Kind, order: Order) -> String {
    use std::fmt::Write;
    let check = keyed(store, kind, 0, order.0);
    let covered = order.0 ^ keyed(store, kind, 1, check);
    let mut name = String::with_capacity(4 * HALF);
    write!(name, "{covered:016x}{check:016x}").expect("a String takes every write");
    name
}

fn order(store: &StoreId, kind: Kind, id: &str) -> Option<Order> {
    let (covered, check) = id.split_at_checked(2 * HALF)?;
    let digits = |half: &str| {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if half.len() == 2 * HALF && half.bytes().all(lower) {
            u64::from_str_radix(half, 16).ok()
        } else {
            None
        }
    };
    let check = digits(check)?;
    let order = Order(digits(covered)? ^ keyed(store, kind, 1, check));
    (keyed(store, kind, 0, order.0) == check).then_some(order)
}

fn keyed(store: &StoreId, kind: Kind, round: u8, value: u64) -> u64 {
    let mut hasher = Algorithm::Sha256.hasher();
    hasher.update(store);
    hasher.update(&[kind as u8, round]);
    hasher.update(&value.to_be_bytes());
    let digest = hasher.finish().value;
    let half = digest
        .first_chunk::<HALF>()
        .expect("SHA-256 gives 32 bytes");
    u64::from_be_bytes(*half)
}

#[cfg(test)]
mod tests {
    use super::{Order, upload_id, upload_order, version_id, version_order};

    #[test]
    fn an_id_leads_back_to_its_order_in_its_own_store_only() {
        let (here, there) = ([1; 16], [2; 16]);
        for order in [0, 1, 77, u64::MAX] {
            let id = version_id(&here, Order(order));
            assert_eq!(id.as_str().len(), 32);
            assert_eq!(version_order(&here, id.as_str()), Some(Order(order)));
            assert_eq!(version_order(&there, id.as_str()), None);
            let upload = upload_id(&here, Order(order));
            assert_eq!(upload_order(&here, &upload), Some(Order(order)));
            assert_eq!(version_order(&here, &upload.0), None);
        }
    }

    #[test]
    fn what_nobody_was_given_leads_nowhere() {
        let id = version_id(&[1; 16], Order(5)).as_str().to_owned();
        let other_digit = if id.starts_with('0') { "1" } else { "0" };
        for wrong in [
            "",
            "null",
            "€€€€€€€€€€€",
            &id[1..],
            &format!("{id}0"),
            &id.to_uppercase().replace(char::is_numeric, "A"),
            &format!("{other_digit}{}", &id[1..]),
            &format!("+{}", &id[1..]),
        ] {
            assert_eq!(version_order(&[1; 16], wrong), None, "{wrong}");
        }
    }
}
