//! The phone path allocates nothing per packet: counted, not believed.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::phone::Phone;
use common::{SERVER, World};
use dialroom_media::{PortId, Socket};
use dialroom_protocol::CodecName;

/// Counts allocations of the whole program.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on unchanged to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise about `layout` is the one `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Two seconds of a room of twelve, ten of them speaking, without the test's own network in between.
fn allocations_in_two_seconds(codec: CodecName) -> u64 {
    let mut world = World::new();
    world.open_bridge("room");
    for number in 0..12 {
        world.call_into("room", Phone::with_codec(number, 400.0, codec));
        world.run(60);
    }
    world.run(3000);
    // 100 packets of each phone, made beforehand: what the test allocates is not to be counted.
    let mut packets: Vec<Vec<(SocketAddr, SocketAddr, Vec<u8>)>> = vec![Vec::new(); 100];
    let mut at = world.now;
    for round in &mut packets {
        at += Duration::from_millis(20);
        for phone in &mut world.phones {
            round.extend(phone.speak(at));
        }
    }
    world.shard.outbox.events.clear();
    let (mut now, mut sent) = (world.now, 0);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for round in &packets {
        for (source, destination, bytes) in round {
            assert_eq!(destination.ip(), std::net::IpAddr::from(SERVER));
            let id = PortId((destination.port() - 20_000) / 2);
            world.shard.receive(now, Socket::Rtp(id), *source, bytes);
        }
        for _ in 0..20 {
            now += Duration::from_millis(1);
            world.shard.advance(now);
            world.shard.outbox.drain_datagrams(|_, datagrams| sent += datagrams.count());
            world.shard.outbox.clear_datagrams();
        }
    }
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(sent >= 12 * 99, "{sent} packets were sent");
    allocations
}

#[test]
fn no_packet_of_a_phone_allocates() {
    for codec in [CodecName::Pcmu, CodecName::G722, CodecName::Opus] {
        let allocations = allocations_in_two_seconds(codec);
        // 1,200 packets in and as many out. What is left is said once a second or less: levels, reports, figures.
        assert!(allocations < 200, "{codec:?}: {allocations} allocations in two seconds");
    }
}
