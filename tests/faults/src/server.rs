//! A server of one case: well-behaved until it is told to break, and again when it is healed.
//!
//! Raw sockets and a thread for each connection: HTTP libraries would not say what these servers have to say.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::http::{self, Request};
use crate::payload::Subject;
use crate::table::{Fault, Net, Row};
use crate::{h2, tls};

/// A connection, encrypted or not, with what was read too far.
pub struct Conn {
    pub stream: Box<dyn Stream>,
    pub ahead: Vec<u8>,
    pub tcp: TcpStream,
}

pub trait Stream: Read + Write + Send {
    /// Ends the encrypted stream properly; nothing for a plain one.
    fn close_notify(&mut self) {}
}

impl Stream for TcpStream {}

impl Stream for Box<dyn Stream> {
    fn close_notify(&mut self) {
        (**self).close_notify();
    }
}

impl<S: Read + Write + Send> Stream for rustls::StreamOwned<rustls::ServerConnection, S> {
    fn close_notify(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

impl Conn {
    pub fn new(tcp: TcpStream, stream: Box<dyn Stream>) -> Conn {
        Conn { stream, ahead: Vec::new(), tcp }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Reads and forgets until the client, or the end of the case, closes the connection.
    pub fn hold(&mut self) -> io::Result<()> {
        let mut waste = [0; 4096];
        while self.stream.read(&mut waste)? > 0 {}
        Ok(())
    }
}

/// What becomes of a connection after a script.
pub enum Then {
    /// It is in order, and more requests may come.
    Serve,
    /// FIN, after the proper end of an encrypted stream.
    Close,
    /// FIN and no `close_notify`.
    Truncate,
    /// RST.
    Reset,
}

/// One request met by a faulty server.
pub struct Exchange<'a> {
    pub conn: &'a mut Conn,
    pub request: Request,
    pub server: &'a Shared,
    /// 1 for the first one.
    pub nth: u32,
}

impl Exchange<'_> {
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.conn.send(bytes)
    }

    /// A correct body that says "good".
    pub fn body(&self) -> Vec<u8> {
        self.server.subject.body("good")
    }

    /// Head of these lines, and a body with its length.
    pub fn answer(&mut self, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat())
    }

    pub fn hold(&mut self) -> io::Result<()> {
        self.conn.hold()
    }
}

pub struct Shared {
    pub row: Arc<Row>,
    pub subject: Subject,
    pub port: u16,
    broken: AtomicBool,
    /// Times that a client met the fault.
    pub met: AtomicU32,
    pub connections: AtomicU32,
    stopping: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
    listener: Mutex<Option<TcpListener>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    /// Whether [`Row::with_answer`] has been done.
    pub spoilt: AtomicBool,
}

pub struct Server {
    pub shared: Arc<Shared>,
    /// Bound and never listening: the port stays ours while nobody listens.
    _guard: OwnedFd,
    /// They fill the queue of connections that nobody accepts.
    crowd: Mutex<Vec<OwnedFd>>,
}

impl Server {
    /// A healthy server for a row.
    pub fn start(row: &Arc<Row>, subject: Subject) -> Server {
        let guard = bound(row.net == Net::Ipv6, 0).expect("a port");
        // SAFETY: the descriptor is a socket, and stays ours.
        let port = unsafe { std::net::TcpListener::from_raw_fd(libc::dup(guard.as_raw_fd())) }
            .local_addr()
            .expect("a port")
            .port();
        let shared = Arc::new(Shared {
            row: Arc::clone(row),
            subject,
            port,
            broken: AtomicBool::new(false),
            met: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            sockets: Mutex::default(),
            listener: Mutex::default(),
            bodies: Mutex::default(),
            spoilt: AtomicBool::new(false),
        });
        let server = Server { shared, _guard: guard, crowd: Mutex::default() };
        server.listen(128);
        server
    }

    fn listen(&self, backlog: i32) {
        let socket = bound(self.shared.row.net == Net::Ipv6, self.shared.port).expect("the same port");
        // SAFETY: a bound socket.
        assert_eq!(unsafe { libc::listen(socket.as_raw_fd(), backlog) }, 0, "{}", io::Error::last_os_error());
        let listener = TcpListener::from(socket);
        *lock(&self.shared.listener) = Some(listener.try_clone().expect("a descriptor"));
        if backlog > 0 {
            let shared = Arc::clone(&self.shared);
            std::thread::spawn(move || accept(&shared, &listener));
        }
    }

    fn deafen(&self) {
        if let Some(listener) = lock(&self.shared.listener).take() {
            // SAFETY: an open socket; ends `accept` in its thread.
            unsafe { libc::shutdown(listener.as_raw_fd(), libc::SHUT_RDWR) };
        }
    }

    /// From now on the server does what its row says.
    pub fn break_it(&self) {
        self.shared.met.store(0, SeqCst);
        self.shared.broken.store(true, SeqCst);
        match (&self.shared.row.net, &self.shared.row.fault) {
            (Net::Nobody | Net::DeadProxy, _) => {
                self.deafen();
                self.shared.close_all();
            }
            (Net::Full, _) => {
                self.deafen();
                self.shared.close_all();
                self.listen(0);
                *lock(&self.crowd) = (0..4).filter_map(|_| pending_connection(self.shared.port)).collect();
            }
            // Only a request on a kept connection meets these.
            (_, Fault::OnReuse(_)) => {}
            (_, Fault::IdleClosed) => self.shared.close_all(),
            // What happens before the first request needs a new connection.
            _ if self.shared.row.warm => {}
            _ => self.shared.close_all(),
        }
    }

    /// From now on all is well.
    pub fn heal(&self) {
        self.shared.broken.store(false, SeqCst);
        if matches!(self.shared.row.net, Net::Nobody | Net::DeadProxy | Net::Full) {
            self.deafen();
            lock(&self.crowd).clear();
            self.listen(128);
        }
    }

    pub fn met(&self) -> u32 {
        self.shared.met.load(SeqCst)
    }

    /// Bodies of the requests that met the fault.
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.bodies).clone()
    }

    /// Connections that are open at this end.
    pub fn open_connections(&self) -> usize {
        lock(&self.shared.sockets).len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, SeqCst);
        self.deafen();
        self.shared.close_all();
    }
}

impl Shared {
    pub fn is_broken(&self) -> bool {
        self.broken.load(SeqCst)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    fn meet(&self) -> u32 {
        self.met.fetch_add(1, SeqCst) + 1
    }

    fn close_all(&self) {
        for socket in lock(&self.sockets).iter() {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    while let Ok((tcp, _)) = listener.accept() {
        if shared.is_stopping() {
            return;
        }
        shared.connections.fetch_add(1, SeqCst);
        let _ = tcp.set_nodelay(true);
        // No script waits longer than any case lasts.
        let _ = tcp.set_read_timeout(Some(Duration::from_secs(90)));
        let _ = tcp.set_write_timeout(Some(Duration::from_secs(90)));
        let Ok(known) = tcp.try_clone() else { continue };
        let id = known.as_raw_fd();
        lock(&shared.sockets).push(known);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client that goes away ends the script with an error: that is what it is for.
            let _ = connection(&shared, tcp);
            lock(&shared.sockets).retain(|socket| socket.as_raw_fd() != id);
        });
    }
}

fn connection(shared: &Shared, tcp: TcpStream) -> io::Result<()> {
    let row = &shared.row;
    let broken = shared.is_broken();
    if broken && let Fault::OnAccept(script) = &row.fault {
        shared.meet();
        return script(shared, tcp);
    }
    match &row.net {
        Net::Plain | Net::Nobody | Net::Full | Net::Ipv6 => http1(shared, Conn::new(tcp.try_clone()?, Box::new(tcp))),
        Net::Tls(kind) => {
            if broken && kind.fails() {
                shared.meet();
            }
            if broken && *kind == tls::Kind::OneByteRecords {
                let stream = tls::accept(tls::Splitter::new(tcp.try_clone()?), kind)?;
                return http1(shared, Conn::new(tcp, Box::new(stream)));
            }
            let stream = tls::accept(tcp.try_clone()?, if broken { kind } else { &tls::Kind::Good })?;
            http1(shared, Conn::new(tcp, Box::new(stream)))
        }
        Net::H2 => {
            let stream = tls::accept(tcp.try_clone()?, &tls::Kind::H2)?;
            let mut connection = h2::Connection::new(Conn::new(tcp, Box::new(stream)));
            h2::serve(shared, &mut connection)
        }
        Net::Proxy { .. } | Net::DeadProxy => http1(shared, Conn::new(tcp.try_clone()?, Box::new(tcp))),
        Net::TlsProxy => {
            let stream = tls::accept(tcp.try_clone()?, &tls::Kind::Good)?;
            http1(shared, Conn::new(tcp, Box::new(stream)))
        }
    }
}

/// Requests of one connection.
fn http1(shared: &Shared, mut conn: Conn) -> io::Result<()> {
    let mut served = 0;
    loop {
        if shared.is_broken()
            && let Fault::OnHead(script) = &shared.row.fault
        {
            // The script reads for itself.
            let nth = shared.meet();
            let request = Request::default();
            let then = script(&mut Exchange { conn: &mut conn, request, server: shared, nth })?;
            if !end(&mut conn, then) {
                return Ok(());
            }
            continue;
        }
        let Some(request) = http::read(&mut conn)? else { return Ok(()) };
        let fault = match &shared.row.fault {
            _ if !shared.is_broken() => None,
            Fault::OnRequest(script) => Some(script),
            Fault::OnReuse(script) if served > 0 => Some(script),
            _ => None,
        };
        served += 1;
        if request.method == "CONNECT" && fault.is_none() {
            conn.send("HTTP/1.1 200 Connection established\r\n\r\n")?;
            let stream = tls::accept(conn.stream, &tls::Kind::Good)?;
            return http1(shared, Conn::new(conn.tcp, Box::new(stream)));
        }
        let Some(script) = fault else {
            http::healthy(shared, &mut conn, &request)?;
            continue;
        };
        let nth = shared.meet();
        lock(&shared.bodies).push(request.body.clone());
        let then = script(&mut Exchange { conn: &mut conn, request, server: shared, nth })?;
        if !end(&mut conn, then) {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
fn end(conn: &mut Conn, then: Then) -> bool {
    match then {
        Then::Serve => return true,
        Then::Close => {
            conn.stream.close_notify();
            let _ = conn.tcp.shutdown(Shutdown::Write);
            let _ = conn.hold();
        }
        Then::Truncate => {
            let _ = conn.tcp.shutdown(Shutdown::Write);
            let _ = conn.hold();
        }
        Then::Reset => reset(&conn.tcp),
    }
    false
}

/// Has the next close of the socket send RST, and sends it.
pub fn reset(tcp: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: an open socket and a struct of that size. Connecting to "nothing" resets even while copies are open.
    unsafe {
        libc::setsockopt(
            tcp.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            std::ptr::from_ref(&linger).cast(),
            size_of::<libc::linger>() as u32,
        );
        let nothing = libc::sockaddr { sa_family: libc::AF_UNSPEC as u16, sa_data: [0; 14] };
        libc::connect(tcp.as_raw_fd(), &nothing, size_of::<libc::sockaddr>() as u32);
    }
}

fn socket(v6: bool, flags: i32) -> io::Result<OwnedFd> {
    let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: makes a descriptor, which is ours.
    unsafe {
        let fd = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// A socket bound to a loopback port, that others of ours may bind, too.
fn bound(v6: bool, port: u16) -> io::Result<OwnedFd> {
    let socket = socket(v6, 0)?;
    let on: i32 = 1;
    // SAFETY: an open socket; an int.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR,
            std::ptr::from_ref(&on).cast(),
            size_of::<i32>() as u32,
        );
    }
    let status = if v6 {
        // SAFETY: all-zero is a valid address.
        let mut address: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
        address.sin6_family = libc::AF_INET6 as u16;
        address.sin6_port = port.to_be();
        address.sin6_addr.s6_addr = Ipv6Addr::LOCALHOST.octets();
        // SAFETY: an address of that size.
        unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size_of_val(&address) as u32) }
    } else {
        let address = v4(port);
        // SAFETY: an address of that size.
        unsafe { libc::bind(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size_of_val(&address) as u32) }
    };
    if status == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn v4(port: u16) -> libc::sockaddr_in {
    // SAFETY: all-zero is a valid address.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    address
}

/// A connection that is begun and not waited for.
fn pending_connection(port: u16) -> Option<OwnedFd> {
    let socket = socket(false, libc::SOCK_NONBLOCK).ok()?;
    let address = v4(port);
    // SAFETY: an address of that size. Whether it succeeds does not matter: it takes a place.
    unsafe { libc::connect(socket.as_raw_fd(), std::ptr::from_ref(&address).cast(), size_of_val(&address) as u32) };
    Some(socket)
}

/// Whether this machine has an IPv6 loopback address.
pub fn has_ipv6() -> bool {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).is_ok()
}
