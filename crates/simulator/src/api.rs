//! The APIs of simulated systems.

use crate::accounts::Key;
use crate::vendor::{Vendor, VendorApi, VendorResponse};
use crate::{ccs, onfire, publisher, scim};
use bytes::Bytes;
use http::request::Parts;

/// The keys by which accounts are found.
pub(crate) fn keys(api: VendorApi) -> &'static [Key] {
    match api {
        VendorApi::Scim => scim::KEYS,
        VendorApi::Onfire => onfire::KEYS,
        VendorApi::Ccs | VendorApi::CcsOfMuster => ccs::KEYS,
        VendorApi::Publisher => publisher::KEYS,
    }
}

pub(crate) fn handle(vendor: &mut Vendor, head: &Parts, body: &Bytes) -> VendorResponse {
    match vendor.api {
        VendorApi::Scim => scim::handle(vendor, head, body),
        VendorApi::Onfire => onfire::handle(vendor, head, body),
        VendorApi::Ccs | VendorApi::CcsOfMuster => ccs::handle(vendor, head, body),
        VendorApi::Publisher => publisher::handle(vendor, head, body),
    }
}
