//! The packet thread: wait, drain sockets, carry out commands, mix what is due, send.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use dialroom_audio::audio::clip::Clip;
use dialroom_media::outbox::TapId;
use dialroom_media::{Shard, Socket, Token};
use dialroom_protocol::{Answer, Command};
use dialroom_rtc::Protocol;
use tracing::warn;

use crate::link::{ConnectionId, ToLink};
use crate::recorder::Recorder;
use crate::sockets::{Sockets, number, to_mapped, unmapped};
use crate::streams::Streams;
use crate::syscall::{self, ReceiveBatch, SendBatch, Waker};
use crate::threads::{End, survives};

/// Commands are carried out for so long between two looks at the sockets and the clock. One may take a millisecond
/// (a browser's offer), and nobody's sound is to wait for a crowd of them.
const COMMANDS_FOR: Duration = Duration::from_millis(2);
/// Batches taken from one socket before the others have their turn.
const BATCHES_AT_ONCE: usize = 16;

/// Something to be done by the packet thread.
pub struct ToWorker {
    /// Which connection asks.
    pub connection: ConnectionId,
    /// Its id of the request.
    pub request: u64,
    /// What.
    pub work: Work,
}

/// What is to be done.
pub enum Work {
    /// A command.
    Command(Command),
    /// A prompt, decoded.
    Clip(String, Arc<Clip>),
    /// A recording cannot be written.
    RecordingFailed(TapId),
}

/// The packet thread's belongings.
pub struct Worker {
    /// The engine.
    pub shard: Shard,
    /// Its sockets.
    pub sockets: Sockets,
    /// Its ICE-TCP connections.
    pub streams: Streams,
    /// What others ask for.
    pub inbox: Receiver<ToWorker>,
    /// Wakes this thread.
    pub waker: Arc<Waker>,
    /// Answers and events.
    pub link: Sender<ToLink>,
    /// Recordings.
    pub recorder: Recorder,
    /// Tells when the process is to end.
    pub end: End,
}

struct Batches {
    receive: ReceiveBatch,
    send: SendBatch,
    ready: Vec<u64>,
}

impl Worker {
    /// Works until told to stop.
    pub fn run(mut self) -> io::Result<()> {
        let raised = syscall::raise_priority();
        tracing::info!(raised, "the packet thread runs");
        let mut batches =
            Batches { receive: ReceiveBatch::new(), send: SendBatch::new(), ready: Vec::with_capacity(256) };
        while !self.end.is_due() {
            self.wait(&mut batches.ready)?;
            let now = Instant::now();
            for index in 0..batches.ready.len() {
                let (ready, receive) = (batches.ready[index], &mut batches.receive);
                if !survives(|| self.drain(ready, receive, now)) {
                    self.shard.count_panic();
                }
            }
            self.carry_out(now);
            self.shard.advance(now);
            self.flush(&mut batches.send);
            let shard = &self.shard;
            self.streams.keep(now, |remote| shard.knows_web(Protocol::Tcp, remote));
        }
        Ok(())
    }

    /// Sleeps until the next slot, or for as long as nothing comes if nothing is due; then looks who is ready.
    fn wait(&mut self, ready: &mut Vec<u64>) -> io::Result<()> {
        ready.clear();
        let timeout = if self.shard.is_idle() {
            None
        } else {
            let now = Instant::now();
            self.waker.sleep(self.shard.next_slot(now).saturating_duration_since(now));
            Some(0)
        };
        self.sockets.epoll().wait(timeout, |number| ready.push(number))
    }

    fn drain(&mut self, ready: u64, batch: &mut ReceiveBatch, now: Instant) {
        match ready {
            number::WAKER => self.waker.clear(),
            number::LISTENER => self.streams.accept(self.sockets.epoll(), now),
            number::FIRST_STREAM.. => self.streams.read(ready, &mut self.shard, now),
            _ => {
                if let Some(socket) = Sockets::by_number(ready) {
                    self.drain_socket(socket, batch, now);
                }
            }
        }
    }

    fn drain_socket(&mut self, socket: Socket, batch: &mut ReceiveBatch, now: Instant) {
        let Some(udp) = self.sockets.get(socket) else {
            return;
        };
        // Asked of the kernel only where it counts: phones' sockets are drained 50 to 1,000 times a second.
        let local = if socket == Socket::WebRtc { udp.local_addr().ok() } else { None };
        for _ in 0..BATCHES_AT_ONCE {
            let count = match batch.receive(udp) {
                Ok(count) => count,
                // An ICMP error of an earlier packet; nothing is lost with it.
                Err(_) => continue,
            };
            for index in 0..count {
                let Some((source, datagram)) = batch.datagram(index) else {
                    continue;
                };
                match local {
                    Some(local) => {
                        let source = unmapped(source);
                        self.shard.receive_web(now, Protocol::Udp, source, unmapped(local), datagram);
                    }
                    None => self.shard.receive(batch.arrived(index), socket, source, datagram),
                }
            }
            if count < syscall::BATCH {
                return;
            }
        }
    }

    fn carry_out(&mut self, now: Instant) {
        let began = Instant::now();
        loop {
            let Ok(ToWorker { connection, request, work }) = self.inbox.try_recv() else {
                return;
            };
            let answer = match work {
                Work::Command(command) => {
                    self.shard.command(now, Token { connection, request }, command, &mut self.sockets)
                }
                Work::Clip(name, clip) => Some(match self.shard.put_clip(name, clip) {
                    Ok(()) => Answer::Done {},
                    Err(refusal) => Answer::Refused(refusal),
                }),
                Work::RecordingFailed(tap) => {
                    self.shard.recording_failed(tap);
                    None
                }
            };
            // The link numbers events in this order, so a snapshot comes before what happened after it.
            if let Some(answer) = answer {
                let before = matches!(answer, Answer::Snapshot { .. });
                if !before {
                    self.tell_events();
                }
                self.tell(ToLink::Reply { connection, id: request, answer: self.with_figures(answer) });
                self.tell_events();
            }
            if began.elapsed() > COMMANDS_FOR {
                // More may wait: come back at once.
                return self.waker.wake();
            }
        }
    }

    /// Adds what only this thread knows to the metrics.
    fn with_figures(&self, answer: Answer) -> Answer {
        let Answer::Metrics { mut values } = answer else {
            return answer;
        };
        let (user, system) = syscall::thread_times();
        for (name, value) in [
            ("packet_thread_user_seconds_total", user),
            ("packet_thread_system_seconds_total", system),
            ("tcp_connections", self.streams.len() as f64),
            ("recording_frames_lost_total", self.recorder.lost() as f64),
        ] {
            values.insert(format!("dialroom_media_{name}"), value);
        }
        Answer::Metrics { values }
    }

    fn flush(&mut self, send: &mut SendBatch) {
        let outbox = &mut self.shard.outbox;
        let mut sent = 0;
        if outbox.has_datagrams() {
            let (sockets, mapped) = (&self.sockets, self.sockets.is_v6());
            outbox.drain_datagrams(|socket, datagrams| {
                if let Some(udp) = sockets.get(socket) {
                    let datagrams = datagrams.map(|(to, data)| (if mapped { to_mapped(to) } else { to }, data));
                    sent += send.send(udp, datagrams);
                }
            });
            outbox.clear_datagrams();
        }
        for packet in outbox.stream_packets.drain(..) {
            self.streams.send(packet.destination, &packet.bytes);
        }
        for tap in outbox.taps.drain(..) {
            self.recorder.take(tap);
        }
        self.shard.count_sent(sent);
        self.tell_events();
    }

    fn tell_events(&mut self) {
        let Self { shard, link, .. } = self;
        for event in shard.outbox.events.drain(..) {
            if link.send(ToLink::Event(event)).is_err() {
                warn!("the link thread is gone: an event is lost");
            }
        }
    }

    fn tell(&self, message: ToLink) {
        if self.link.send(message).is_err() {
            warn!("the link thread is gone: an answer is lost");
        }
    }
}
