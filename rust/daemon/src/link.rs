//! What goes to the control plane: answers, and events under sequence numbers.
//!
//! One thread owns the connection that speaks for the control plane and the log of must-deliver events. It numbers
//! events in the order in which the packet thread told them, so a snapshot's `last_event` and the events after it
//! leave nothing out and nothing twice.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use dialroom_protocol::{Answer, Event, FromMedia, Refusal, RefusalCode, encode_from_media};
use tracing::{error, info, warn};

use crate::stream::Stream;
use crate::threads::survives;

/// Must-deliver events kept for a control plane that is away.
pub const KEPT_EVENTS: usize = 10_000;

/// How often it is looked whether a control plane is there.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Number of a control connection.
pub type ConnectionId = u64;

/// What the link thread is told.
pub enum ToLink {
    /// A connection said a proper hello; its snapshot will follow.
    Greeted {
        /// The connection.
        connection: ConnectionId,
        /// Its stream, to write to.
        stream: Stream,
        /// Last event that the control plane has had.
        after_event: Option<u64>,
        /// Which media process it had it from.
        instance: Option<String>,
    },
    /// Answers a request.
    Reply {
        /// The connection that asked.
        connection: ConnectionId,
        /// Its id of the request.
        id: u64,
        /// The answer; of a snapshot, this thread fills in version, instance and last event.
        answer: Answer,
    },
    /// Something happened.
    Event(Event),
    /// A connection was closed from the other side.
    Gone(ConnectionId),
    /// Comes up as a bug.
    #[cfg(test)]
    Bug,
}

/// The numbered must-deliver events.
struct EventLog {
    last: u64,
    kept: VecDeque<(u64, Event)>,
}

impl EventLog {
    fn add(&mut self, event: Event) -> u64 {
        if let Event::LegSilent { leg, .. } = &event {
            // Told again and again while it lasts: the latest one says it all, and must not push digits out.
            let same = |(_, kept): &(u64, Event)| matches!(kept, Event::LegSilent { leg: other, .. } if other == leg);
            if let Some(index) = self.kept.iter().rposition(same) {
                self.kept.remove(index);
            }
        }
        if self.kept.len() == KEPT_EVENTS {
            self.kept.pop_front();
        }
        self.last += 1;
        self.kept.push_back((self.last, event));
        self.last
    }

    fn after(&self, sequence: u64) -> impl Iterator<Item = &(u64, Event)> {
        self.kept.iter().filter(move |(number, _)| *number > sequence)
    }
}

struct Connection {
    stream: Stream,
    after_event: Option<u64>,
    instance: Option<String>,
}

/// State of the link thread.
pub struct Link {
    instance: String,
    log: EventLog,
    greeted: HashMap<ConnectionId, Connection>,
    current: Option<(ConnectionId, Stream)>,
}

impl Link {
    /// A link without connection. `instance` names this process.
    pub fn new(instance: String) -> Self {
        let log = EventLog { last: 0, kept: VecDeque::new() };
        Self { instance, log, greeted: HashMap::new(), current: None }
    }

    /// Works until all senders are gone. After `linger` without a control plane, calls `abandoned`, once.
    pub fn run(mut self, inbox: &Receiver<ToLink>, linger: Option<Duration>, abandoned: impl FnOnce()) {
        let (mut batch, mut abandoned) = (Vec::new(), Some(abandoned));
        let mut alone_since = Instant::now();
        loop {
            match inbox.recv_timeout(LOOK_EVERY) {
                Ok(first) => batch.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            batch.extend(inbox.try_iter());
            self.take_all(&mut batch);
            if self.current.is_some() {
                alone_since = Instant::now();
            } else if linger.is_some_and(|linger| alone_since.elapsed() > linger)
                && let Some(abandoned) = abandoned.take()
            {
                warn!("no control plane came back; the media process ends");
                abandoned();
            }
        }
    }

    /// A bug costs one message and the connection: the control plane comes again, and is told how things stand.
    fn take_all(&mut self, batch: &mut Vec<ToLink>) {
        drop_superseded(batch);
        for message in batch.drain(..) {
            if !survives(|| self.take(message))
                && let Some((connection, stream)) = self.current.take()
            {
                error!(connection, "a bug in the link; the control plane has to connect again");
                stream.close();
            }
        }
    }

    fn take(&mut self, message: ToLink) {
        match message {
            #[cfg(test)]
            ToLink::Bug => panic!("a bug in the link"),
            ToLink::Greeted { connection, stream, after_event, instance } => {
                self.greeted.insert(connection, Connection { stream, after_event, instance });
            }
            ToLink::Reply { connection, id, answer: Answer::Snapshot { bridges, legs, peers, clips, .. } } => {
                let snapshot = Answer::Snapshot {
                    version: env!("CARGO_PKG_VERSION").to_owned(),
                    instance: self.instance.clone(),
                    last_event: self.log.last,
                    bridges,
                    legs,
                    peers,
                    clips,
                };
                self.install(connection, id, snapshot);
            }
            ToLink::Reply { connection, id, answer } => self.write_to(connection, &FromMedia::Reply { id, answer }),
            ToLink::Event(event) => {
                let sequence = if event.is_latest_wins() { 0 } else { self.log.add(event.clone()) };
                if let Some((connection, _)) = self.current {
                    self.write_to(connection, &FromMedia::Notice { sequence, event });
                }
            }
            ToLink::Gone(connection) => {
                self.greeted.remove(&connection);
                if self.current.as_ref().is_some_and(|(current, _)| *current == connection) {
                    info!(connection, "the control plane is gone; media goes on");
                    self.current = None;
                }
            }
        }
    }

    /// Makes a connection the one that speaks for the control plane, and tells it what it missed.
    fn install(&mut self, connection: ConnectionId, id: u64, snapshot: Answer) {
        let Some(greeted) = self.greeted.remove(&connection) else {
            return self.write_to(connection, &FromMedia::Reply { id, answer: snapshot });
        };
        if let Some((_, old)) = self.current.replace((connection, greeted.stream)) {
            old.close();
        }
        self.write_to(connection, &FromMedia::Reply { id, answer: snapshot });
        let same = greeted.instance.is_none_or(|instance| instance == self.instance);
        let missed: Vec<FromMedia> = match greeted.after_event {
            None => Vec::new(),
            Some(after) => {
                let told = self.log.after(if same { after } else { 0 });
                told.map(|(sequence, event)| FromMedia::Notice { sequence: *sequence, event: event.clone() }).collect()
            }
        };
        info!(connection, replayed = missed.len(), "the control plane is connected");
        for notice in &missed {
            self.write_to(connection, notice);
        }
    }

    fn write_to(&mut self, connection: ConnectionId, message: &FromMedia) {
        let Some((_, stream)) = self.current.as_mut().filter(|(current, _)| *current == connection) else {
            return;
        };
        let frame = match (encode_from_media(message), message) {
            (Ok(frame), _) => frame,
            (Err(error), FromMedia::Reply { id, .. }) => {
                let refusal = Refusal::new(RefusalCode::Internal, format!("The answer cannot be sent: {error}"));
                match encode_from_media(&FromMedia::Reply { id: *id, answer: Answer::Refused(refusal) }) {
                    Ok(frame) => frame,
                    Err(_) => return,
                }
            }
            (Err(error), _) => return warn!(%error, "an event cannot be sent"),
        };
        if let Err(error) = stream.write_all(&frame) {
            warn!(connection, %error, "the control plane takes nothing; its connection is closed, media goes on");
            stream.close();
            self.current = None;
        }
    }
}

/// Of latest-wins events of one kind and subject, only the newest in a batch is told.
fn drop_superseded(batch: &mut Vec<ToLink>) {
    if batch.len() < 2 {
        return;
    }
    let mut newest: HashMap<(u8, String), usize> = HashMap::new();
    for (index, message) in batch.iter().enumerate() {
        if let Some(key) = latest_wins_key(message) {
            newest.insert(key, index);
        }
    }
    let mut index = 0;
    batch.retain(|message| {
        let keep = latest_wins_key(message).is_none_or(|key| newest.get(&key) == Some(&index));
        index += 1;
        keep
    });
}

fn latest_wins_key(message: &ToLink) -> Option<(u8, String)> {
    match message {
        ToLink::Event(Event::SpeakersChanged { bridge, .. }) => Some((0, bridge.clone())),
        ToLink::Event(Event::SlotsChanged { peer, .. }) => Some((1, peer.clone())),
        ToLink::Event(Event::StatisticsReported { leg, .. }) => Some((2, leg.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use dialroom_protocol::Speaker;

    fn digit(digit: &str) -> Event {
        Event::DigitReceived { leg: "l".into(), digit: digit.into(), duration: 100 }
    }

    fn empty_snapshot() -> Answer {
        let (version, instance) = (String::new(), String::new());
        Answer::Snapshot {
            version,
            instance,
            last_event: 0,
            bridges: vec![],
            legs: vec![],
            peers: vec![],
            clips: vec![],
        }
    }

    fn greet(link: &mut Link, connection: u64, after_event: Option<u64>, instance: Option<&str>) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let instance = instance.map(str::to_owned);
        link.take(ToLink::Greeted { connection, stream: Stream::Unix(ours), after_event, instance });
        link.take(ToLink::Reply { connection, id: 1, answer: empty_snapshot() });
        theirs.set_nonblocking(true).unwrap();
        theirs
    }

    fn told(stream: &mut UnixStream) -> Vec<FromMedia> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let mut reader = dialroom_protocol::FrameReader::default();
        reader.feed(&bytes);
        let mut messages = Vec::new();
        while let Some(body) = reader.next_body().unwrap() {
            messages.push(dialroom_protocol::decode_from_media(body).unwrap());
        }
        messages
    }

    fn sequences(messages: &[FromMedia]) -> Vec<u64> {
        messages
            .iter()
            .filter_map(|message| match message {
                FromMedia::Notice { sequence, .. } => Some(*sequence),
                FromMedia::Reply { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_returning_control_plane_is_told_what_it_missed_and_nothing_twice() {
        let mut link = Link::new("m".into());
        let mut first = greet(&mut link, 1, None, None);
        link.take(ToLink::Event(digit("1")));
        link.take(ToLink::Event(digit("2")));
        assert_eq!(sequences(&told(&mut first)), [1, 2]);
        link.take(ToLink::Gone(1));
        link.take(ToLink::Event(digit("3")));
        let mut second = greet(&mut link, 2, Some(2), Some("m"));
        link.take(ToLink::Event(digit("4")));
        let messages = told(&mut second);
        assert!(matches!(
            &messages[0],
            FromMedia::Reply { id: 1, answer: Answer::Snapshot { last_event: 3, instance, .. } } if instance == "m"
        ));
        assert_eq!(sequences(&messages), [3, 4]);
    }

    #[test]
    fn a_bug_costs_one_message_and_the_returning_control_plane_misses_no_event() {
        let mut link = Link::new("m".into());
        let mut first = greet(&mut link, 1, None, None);
        let mut batch = vec![ToLink::Event(digit("1")), ToLink::Bug, ToLink::Event(digit("2"))];
        link.take_all(&mut batch);
        assert_eq!(sequences(&told(&mut first)), [1]);
        assert_eq!(first.read(&mut [0]).unwrap(), 0, "it is told to connect again");
        assert_eq!(sequences(&told(&mut greet(&mut link, 2, Some(1), Some("m")))), [2]);
    }

    #[test]
    fn events_of_another_media_process_do_not_hide_those_of_this_one() {
        let mut link = Link::new("new".into());
        link.take(ToLink::Event(digit("1")));
        assert_eq!(sequences(&told(&mut greet(&mut link, 1, Some(400), Some("old")))), [1]);
    }

    #[test]
    fn a_second_control_plane_replaces_the_first() {
        let mut link = Link::new("m".into());
        let mut first = greet(&mut link, 1, None, None);
        let mut second = greet(&mut link, 2, None, None);
        link.take(ToLink::Event(digit("1")));
        assert_eq!(sequences(&told(&mut first)), [] as [u64; 0]);
        assert_eq!(sequences(&told(&mut second)), [1]);
        let mut byte = [0];
        assert_eq!(first.read(&mut byte).unwrap(), 0, "the first one is closed");
    }

    #[test]
    fn the_oldest_events_go_when_too_many_are_kept() {
        let mut link = Link::new("m".into());
        for _ in 0..KEPT_EVENTS + 5 {
            link.take(ToLink::Event(digit("1")));
        }
        assert_eq!(link.log.kept.len(), KEPT_EVENTS);
        assert_eq!(link.log.after(0).next().unwrap().0, 6);
    }

    #[test]
    fn phones_that_stay_silent_do_not_push_digits_out_while_the_control_plane_is_away() {
        let mut link = Link::new("m".into());
        link.take(ToLink::Event(digit("7")));
        for round in 0..2 * KEPT_EVENTS as u64 {
            link.take(ToLink::Event(Event::LegSilent { leg: format!("leg {}", round % 5), silence: 20_000 + round }));
        }
        let kept: Vec<&(u64, Event)> = link.log.after(0).collect();
        assert_eq!(kept.len(), 6);
        assert_eq!(kept[0], &(1, digit("7")));
        assert_eq!(kept[5].0, 2 * KEPT_EVENTS as u64 + 1);
    }

    #[test]
    fn of_latest_wins_events_only_the_newest_is_told() {
        let speakers = |level| {
            let speakers = vec![Speaker { participant: "p".into(), level }];
            ToLink::Event(Event::SpeakersChanged { bridge: "b".into(), speakers })
        };
        let mut batch = vec![speakers(-1), ToLink::Event(digit("1")), speakers(-2), ToLink::Event(digit("1"))];
        drop_superseded(&mut batch);
        assert_eq!(batch.len(), 3);
        assert!(matches!(&batch[1], ToLink::Event(Event::SpeakersChanged { speakers, .. }) if speakers[0].level == -2));
    }
}
