//! The engine's heads as decisions see them ([`policy::message`]): borrowed from where they lie, nothing is copied.

use http1::{RequestHead, ResponseHead};
use policy::message::{Answered, Asked, Fields};

use super::forward::{Peer, Signature};

/// The fields of a request, all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestFields<'a>(pub(crate) &'a RequestHead);

/// The fields of a response, all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseFields<'a>(pub(crate) &'a ResponseHead);

impl Fields for RequestFields<'_> {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for field in self.0.fields() {
            if !see(field.name, field.value) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        self.0.find(name.as_bytes())
    }
}

impl Fields for ResponseFields<'_> {
    fn each(&self, see: &mut dyn FnMut(&[u8], &[u8]) -> bool) {
        for field in self.0.fields() {
            if !see(field.name, field.value) {
                return;
            }
        }
    }

    fn find(&self, name: &str) -> Option<&[u8]> {
        self.0.find(name.as_bytes())
    }
}

impl<'a> RequestFields<'a> {
    /// The request of this peer.
    pub(crate) fn asked(&'a self, signature: &Signature, peer: &Peer) -> Asked<'a> {
        Asked {
            client: signature.client(self.0, peer),
            method: self.0.method_bytes(),
            host: self.0.host(),
            target: self.0.target(),
            fields: self,
        }
    }
}

impl<'a> ResponseFields<'a> {
    /// The response.
    pub(crate) fn answered(&'a self) -> Answered<'a> {
        Answered { status: self.0.status(), fields: self }
    }
}
