//! The whole path on both simulated networks: the load generator, the engine and backends, on hosts that things happen to.
//!
//! Each scenario runs on the network in memory and on turmoil's, which have no line of code about time, links or streams in
//! common, and must come to the same end on both. How near is stated where it is compared: turmoil knows only ticks.

mod crashes;
mod floods;
mod order;
mod partitions;
mod slow;
mod tunnel;
