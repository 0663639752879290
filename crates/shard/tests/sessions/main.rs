//! Sessions: bytes of RESP clients in, bytes out, mail and batches between shards carried by hand.

mod attach;
mod attributes;
mod eviction;
mod leaving;
mod one_node;
mod renames;
mod rig;
mod several_nodes;
