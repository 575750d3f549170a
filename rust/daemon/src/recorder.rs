//! Writes recordings, on a thread of its own: the packet thread never waits for a disk.
//!
//! A file is a whole WAV file all the time, but for the last second: its header is brought up to date each second, and
//! at the end of the process.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use dialroom_audio::audio::resample::Resampler;
use dialroom_audio::audio::wav;
use dialroom_media::outbox::TapId;
use dialroom_media::{Tap, Token};
use dialroom_protocol::{Answer, Refusal, RefusalCode};
use tracing::{error, info};

use crate::threads::survives;

/// Frames that may wait for the disk; further ones are lost.
const MAX_WAITING: usize = 4096;
/// Longest file: what a WAV header can say, less room for it.
const MAX_DATA_BYTES: u32 = u32::MAX - 1024;

/// The packet thread's end. Dropping it completes all files.
pub struct Recorder {
    /// None only while it is dropped.
    sender: Option<Sender<Tap>>,
    thread: Option<JoinHandle<()>>,
    waiting: Arc<AtomicUsize>,
    lost: AtomicU64,
}

/// What the recorder tells.
pub enum Told {
    /// A command is answered.
    Answer(Token, Answer),
    /// A file cannot be written (any more).
    Failed(TapId),
}

impl Recorder {
    /// Starts the thread. What it tells goes to `tell`.
    pub fn start(tell: impl Fn(Told) + Send + 'static) -> io::Result<Self> {
        let (sender, inbox) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut desk = Desk { files: HashMap::new(), waiting: waiting.clone(), tell };
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || desk.run(&inbox))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), waiting, lost: AtomicU64::new(0) })
    }

    /// Hands something on, without waiting.
    pub fn take(&self, tap: Tap) {
        if matches!(tap, Tap::Frame { .. }) {
            if self.waiting.load(Ordering::Relaxed) >= MAX_WAITING {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            self.waiting.fetch_add(1, Ordering::Relaxed);
        }
        if self.sender.as_ref().is_none_or(|sender| sender.send(tap).is_err()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frames that the disk was too slow for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.sender = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            error!("the recorder failed; recordings end early");
        }
    }
}

/// Everything the recorder's thread has.
struct Desk<T> {
    files: HashMap<TapId, Recording>,
    waiting: Arc<AtomicUsize>,
    tell: T,
}

impl<T: Fn(Told)> Desk<T> {
    /// Works until the packet thread's end is gone. A bug ends one recording.
    fn run(&mut self, inbox: &Receiver<Tap>) {
        while let Ok(message) = inbox.recv() {
            let (tap, token) = match &message {
                Tap::Open { tap, token, .. } => (*tap, Some(*token)),
                Tap::Frame { tap, .. } => (*tap, None),
                Tap::Close { tap, token } => (*tap, *token),
            };
            if !survives(|| self.take(message)) {
                self.give_up(tap, token);
            }
        }
        for recording in std::mem::take(&mut self.files).into_values() {
            if let Err(error) = recording.finish() {
                error!(%error, "a recording cannot be completed");
            }
        }
    }

    fn take(&mut self, message: Tap) {
        match message {
            Tap::Open { tap, path, rate, token } => self.open(tap, &path, rate, token),
            Tap::Frame { tap, length, samples } => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                let written = self.files.get_mut(&tap).map(|recording| recording.write(&samples[..length]));
                if let Some(Err(error)) = written {
                    error!(%error, "a recording cannot be written on; it ends here");
                    self.give_up(tap, None);
                }
            }
            Tap::Close { tap, token } => self.close(tap, token),
        }
    }

    fn open(&mut self, tap: TapId, path: &str, rate: u32, token: Token) {
        match Recording::create(path, rate) {
            Ok(recording) => {
                info!(path, rate, "recording started");
                self.files.insert(tap, recording);
                (self.tell)(Told::Answer(token, Answer::Done {}));
            }
            Err(error) => {
                (self.tell)(Told::Failed(tap));
                let message = format!("The recording cannot be written to {path}: {error}; check folder and rights");
                (self.tell)(refused(token, RefusalCode::BadValue, message));
            }
        }
    }

    fn close(&mut self, tap: TapId, token: Option<Token>) {
        let done = self.files.remove(&tap).map_or(Ok(()), Recording::finish);
        if let Err(error) = &done {
            error!(%error, "a recording cannot be completed");
        }
        if let Some(token) = token {
            (self.tell)(match done {
                Ok(()) => Told::Answer(token, Answer::Done {}),
                Err(error) => {
                    refused(token, RefusalCode::Internal, format!("The recording could not be completed: {error}"))
                }
            });
        }
    }

    fn give_up(&mut self, tap: TapId, token: Option<Token>) {
        self.files.remove(&tap);
        (self.tell)(Told::Failed(tap));
        if let Some(token) = token {
            let message = "The media plane has a bug; its log says more".to_owned();
            (self.tell)(refused(token, RefusalCode::Internal, message));
        }
    }
}

fn refused(token: Token, code: RefusalCode, message: String) -> Told {
    Told::Answer(token, Answer::Refused(Refusal::new(code, message)))
}

struct Recording {
    file: BufWriter<File>,
    rate: u32,
    data_bytes: u32,
    /// What the header says of them.
    told_bytes: u32,
    /// From frames of another rate than the file's, which come after a change of codec.
    resampler: Option<(u32, Resampler)>,
}

impl Recording {
    fn create(path: &str, rate: u32) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&wav::header(rate, 1, 0))?;
        file.flush()?;
        Ok(Self { file, rate, data_bytes: 0, told_bytes: 0, resampler: None })
    }

    fn write(&mut self, samples: &[i16]) -> io::Result<()> {
        #[cfg(test)]
        assert!(samples != tests::BUG, "a bug");
        let rate = samples.len() as u32 * 50;
        let mut converted = [0i16; 1024];
        let samples = if rate == self.rate {
            samples
        } else {
            if self.resampler.as_ref().is_none_or(|(from, _)| *from != rate) {
                self.resampler = Resampler::new(rate, self.rate).map(|resampler| (rate, resampler));
            }
            match &mut self.resampler {
                Some((_, resampler)) => {
                    let length = resampler.process(samples, &mut converted);
                    &converted[..length]
                }
                None => return Ok(()),
            }
        };
        let bytes = samples.len() as u32 * 2;
        if self.data_bytes > MAX_DATA_BYTES - bytes {
            return Err(io::Error::other("a WAV file cannot be longer than 4 GB"));
        }
        for sample in samples {
            self.file.write_all(&sample.to_le_bytes())?;
        }
        self.data_bytes += bytes;
        if self.data_bytes - self.told_bytes >= self.rate * 2 {
            self.write_header()?;
            self.file.seek(SeekFrom::End(0))?;
        }
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&wav::header(self.rate, 1, self.data_bytes))?;
        self.told_bytes = self.data_bytes;
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.write_header()?;
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};
    use std::sync::mpsc::channel;

    /// A frame that comes up as a bug.
    pub const BUG: &[i16] = &[-7; 160];

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("dialroom-recorder-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn open(tap: TapId, path: &Path) -> Tap {
        let token = Token { connection: 1, request: tap };
        Tap::Open { tap, path: path.to_string_lossy().into_owned(), rate: 8000, token }
    }

    fn frame(tap: TapId, value: i16) -> Tap {
        Tap::Frame { tap, length: 160, samples: [value; 320] }
    }

    fn samples(path: &Path) -> usize {
        wav::read(&std::fs::read(path).unwrap()).unwrap().samples.len()
    }

    #[test]
    fn a_file_is_whole_up_to_its_last_second_while_it_is_being_written() {
        let folder = folder("whole");
        let path = folder.join("a.wav");
        let mut recording = Recording::create(&path.to_string_lossy(), 8000).unwrap();
        (0..170).for_each(|_| recording.write(&[500; 160]).unwrap());
        assert!(samples(&path) >= 2 * 8000, "{} of 27,200 samples", samples(&path));
        recording.finish().unwrap();
        assert_eq!(samples(&path), 170 * 160);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_end_of_the_process_completes_all_files() {
        let folder = folder("end");
        let path = folder.join("a.wav");
        let recorder = Recorder::start(|_| ()).unwrap();
        recorder.take(open(1, &path));
        recorder.take(frame(1, 1000));
        drop(recorder);
        assert_eq!(samples(&path), 160);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_bug_ends_one_recording_and_no_other() {
        let folder = folder("bug");
        let (told, heard) = channel();
        let recorder = Recorder::start(move |message| told.send(message).unwrap()).unwrap();
        let (bad, good) = (folder.join("bad.wav"), folder.join("good.wav"));
        [open(1, &bad), open(2, &good), frame(1, BUG[0]), frame(2, 9)].into_iter().for_each(|tap| recorder.take(tap));
        for _ in 0..2 {
            assert!(matches!(heard.recv().unwrap(), Told::Answer(_, Answer::Done {})));
        }
        assert!(matches!(heard.recv().unwrap(), Told::Failed(1)));
        let token = Token { connection: 1, request: 9 };
        recorder.take(Tap::Close { tap: 2, token: Some(token) });
        assert!(matches!(heard.recv().unwrap(), Told::Answer(t, Answer::Done {}) if t == token));
        assert_eq!(samples(&good), 160);
        assert_eq!(recorder.waiting.load(Ordering::Relaxed), 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_recording_is_complete_when_its_stop_is_answered_and_keeps_its_rate() {
        let folder = folder("rate");
        let path = folder.join("a.wav");
        let (told, heard) = channel();
        let recorder = Recorder::start(move |message| told.send(message).unwrap()).unwrap();
        let token = |request| Token { connection: 1, request };
        recorder.take(Tap::Open { tap: 1, path: path.to_string_lossy().into_owned(), rate: 8000, token: token(1) });
        for length in [160, 160, 320] {
            recorder.take(Tap::Frame { tap: 1, length, samples: [1000; 320] });
        }
        recorder.take(Tap::Close { tap: 1, token: Some(token(2)) });
        for request in [1, 2] {
            assert!(matches!(heard.recv().unwrap(), Told::Answer(t, Answer::Done {}) if t == token(request)));
        }
        let wav = wav::read(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((wav.hz, wav.samples.len()), (8000, 480));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_said_so() {
        let (told, heard) = channel();
        let recorder = Recorder::start(move |message| told.send(message).unwrap()).unwrap();
        let token = Token { connection: 1, request: 1 };
        recorder.take(Tap::Open { tap: 7, path: "/nowhere/at/all.wav".into(), rate: 8000, token });
        assert!(matches!(heard.recv().unwrap(), Told::Failed(7)));
        assert!(matches!(heard.recv().unwrap(), Told::Answer(_, Answer::Refused(_))));
    }
}
