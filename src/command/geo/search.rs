//! Searches about a place: GEOSEARCH, GEORADIUS and their kin are one question with different words.

use super::{place, reply_distance, reply_place, unit_m};
use crate::base::float;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem};
use crate::keyspace::{DbView, Event, Key};
use crate::types::geo::Point;
use crate::types::geo::search::{Area, Found, search};
use crate::types::{AddOptions, Entry, Value, ZSet, ZSetMut};

/// Which words a command takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEORADIUS and GEORADIUSBYMEMBER; the read-only ones don't store.
    Radius { by_member: bool, may_store: bool },
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    None,
    Ascending,
    Descending,
}

/// A shape and the unit in which it was given.
#[derive(Clone, Copy)]
struct Shape {
    area: Area,
    unit_m: f64,
}

/// What is asked.
struct Query<'a> {
    source: Key<'a>,
    has_source: bool,
    centre: Option<Point>,
    /// The centre was said, though it may be a member of a set that is not there.
    has_centre: bool,
    /// It was said as a place, not as a member.
    from_place: bool,
    shape: Option<Shape>,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    order: Order,
    /// 0 is all.
    count: usize,
    any: bool,
    target: Option<Key<'a>>,
    store_distances: bool,
}

fn double(args: &mut Args<'_>, error: &'static str) -> Result<f64, CmdError> {
    float::parse_double(args.bytes()?).ok_or(CmdError::text(error))
}

fn circle(args: &mut Args<'_>) -> Result<Shape, CmdError> {
    let radius = double(args, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(CmdError::text("ERR radius cannot be negative"));
    }
    let unit_m = unit_m(args)?;
    Ok(Shape { area: Area::Radius(radius * unit_m), unit_m })
}

fn rectangle(args: &mut Args<'_>) -> Result<Shape, CmdError> {
    let width = double(args, "ERR need numeric width")?;
    let height = double(args, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(CmdError::text("ERR height or width cannot be negative"));
    }
    let unit_m = unit_m(args)?;
    Ok(Shape { area: Area::Box { width_m: width * unit_m, height_m: height * unit_m }, unit_m })
}

impl<'a> Query<'a> {
    /// The words, which are read while the source is looked at: a member that is not there is the first error.
    fn parse(cx: &mut Ctx<'_>, args: &mut Args<'a>, form: Form) -> Result<Query<'a>, CmdError> {
        let target = if form == Form::SearchStore { Some(args.key()?) } else { None };
        let source = args.key()?;
        let has_source = cx.db.read::<ZSet>(source)?.is_some();
        let mut query = Query {
            source,
            has_source,
            centre: None,
            has_centre: false,
            from_place: false,
            shape: None,
            with_distance: false,
            with_hash: false,
            with_place: false,
            order: Order::None,
            count: 0,
            any: false,
            target,
            store_distances: false,
        };
        match form {
            Form::Radius { by_member: false, .. } => {
                query.centre = Some(place(args)?);
                query.shape = Some(circle(args)?);
            }
            // Without a set neither the member nor the circle is looked at.
            Form::Radius { .. } if !has_source => args.seek(args.position() + 3),
            Form::Radius { .. } => {
                query.centre_at(cx, args.bytes()?)?;
                query.shape = Some(circle(args)?);
            }
            Form::Search | Form::SearchStore => {}
        }
        while args.more() {
            query.option(cx, args, form)?;
        }
        query.check(args, form)?;
        Ok(query)
    }

    fn centre_at(&mut self, cx: &Ctx<'_>, member: &[u8]) -> Result<(), CmdError> {
        self.has_centre = true;
        if self.has_source {
            let score = cx.db.look::<ZSet>(self.source).and_then(|zset| zset.score(member));
            let score = score.ok_or(CmdError::text("ERR could not decode requested zset member"))?;
            self.centre = Some(Point::of_score(score));
        }
        Ok(())
    }

    /// One option; what it is depends on how many words are left.
    fn option(&mut self, cx: &Ctx<'_>, args: &mut Args<'a>, form: Form) -> Result<(), CmdError> {
        let left = args.left();
        let may_store = matches!(form, Form::Radius { may_store: true, .. });
        if args.accept("withdist") {
            self.with_distance = true;
        } else if args.accept("withhash") {
            self.with_hash = true;
        } else if args.accept("withcoord") {
            self.with_place = true;
        } else if args.accept("any") {
            self.any = true;
        } else if args.accept("asc") {
            self.order = Order::Ascending;
        } else if args.accept("desc") {
            self.order = Order::Descending;
        } else if left > 1 && args.accept("count") {
            let count = args.int_in(1, i64::MAX, CmdError::text("ERR COUNT must be > 0"))?;
            self.count = usize::try_from(count).unwrap_or(usize::MAX);
        } else if may_store && left > 1 && args.accept("store") {
            (self.target, self.store_distances) = (Some(args.key()?), false);
        } else if may_store && left > 1 && args.accept("storedist") {
            (self.target, self.store_distances) = (Some(args.key()?), true);
        } else if form == Form::SearchStore && args.accept("storedist") {
            self.store_distances = true;
        } else if form.is_search() {
            self.search_option(cx, args)?;
        } else {
            return Err(CmdError::SYNTAX);
        }
        Ok(())
    }

    /// Of the two words for the centre and of the two for the shape only one each is taken, but that one several times.
    fn search_option(&mut self, cx: &Ctx<'_>, args: &mut Args<'a>) -> Result<(), CmdError> {
        let left = args.left();
        let by_place = self.has_centre && self.from_place;
        let by_member = self.has_centre && !self.from_place;
        let is_circle = self.shape.is_some_and(|shape| matches!(shape.area, Area::Radius(_)));
        if left > 1 && !by_place && args.accept("frommember") {
            self.centre_at(cx, args.bytes()?)?;
        } else if left > 2 && !by_member && args.accept("fromlonlat") {
            self.centre = Some(place(args)?);
            (self.has_centre, self.from_place) = (true, true);
        } else if left > 2 && (self.shape.is_none() || is_circle) && args.accept("byradius") {
            self.shape = Some(circle(args)?);
        } else if left > 3 && !is_circle && args.accept("bybox") {
            self.shape = Some(rectangle(args)?);
        } else {
            return Err(CmdError::SYNTAX);
        }
        Ok(())
    }

    /// What can't be together, or must be there.
    fn check(&self, args: &Args<'_>, form: Form) -> Result<(), CmdError> {
        let name = args.argv().get(0).unwrap_or_default();
        if self.target.is_some() && (self.with_distance || self.with_hash || self.with_place) {
            let what = if form == Form::SearchStore { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            let text = format!("ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
            return Err(CmdError::owned(text));
        }
        if form.is_search() && !self.has_centre {
            let text = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ";
            return Err(CmdError::quoting(text, name, ""));
        }
        if form.is_search() && self.shape.is_none() {
            return Err(CmdError::quoting("ERR exactly one of BYRADIUS and BYBOX can be specified for ", name, ""));
        }
        if self.any && self.count == 0 {
            return Err(CmdError::text("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// The places, in order, no more than asked for.
    fn answer<'db>(&self, db: &'db DbView<'_>) -> Vec<Found<'db>> {
        let (Some(centre), Some(shape)) = (self.centre, self.shape) else { return Vec::new() };
        let Some(zset) = db.look::<ZSet>(self.source) else { return Vec::new() };
        let mut found = search(zset, centre, shape.area, if self.any { self.count } else { 0 });
        // The nearest are meant, unless any will do.
        let order =
            if self.count > 0 && !self.any && self.order == Order::None { Order::Ascending } else { self.order };
        sort(&mut found, order, self.count);
        if self.count > 0 {
            found.truncate(self.count);
        }
        found
    }
}

/// Sorts by distance, as far as the first `count` (0: all). Places at one distance keep their order.
fn sort(found: &mut Vec<Found<'_>>, order: Order, count: usize) {
    let compare = |a: &Found<'_>, b: &Found<'_>| {
        let (a, b) = if order == Order::Descending { (b, a) } else { (a, b) };
        a.distance_m.total_cmp(&b.distance_m)
    };
    if order == Order::None {
        return;
    }
    if count == 0 || count >= found.len() / 2 {
        return found.sort_by(compare);
    }
    // All that are not farther than the last one wanted, in their order; then only these are sorted.
    let mut distances: Vec<f64> = found.iter().map(|place| place.distance_m).collect();
    let last = *distances
        .select_nth_unstable_by(count - 1, |a, b| {
            let (a, b) = if order == Order::Descending { (b, a) } else { (a, b) };
            a.total_cmp(b)
        })
        .1;
    let is_near = |place: &Found<'_>| {
        if order == Order::Descending { place.distance_m >= last } else { place.distance_m <= last }
    };
    found.retain(is_near);
    found.sort_by(compare);
}

fn run(cx: &mut Ctx<'_>, args: &mut Args<'_>, form: Form) -> Outcome {
    let query = Query::parse(cx, args, form)?;
    match query.target {
        Some(target) => store(cx, &query, target, form),
        None => reply(cx, &query),
    }
    Ok(Flow::Done)
}

/// Members whose memory is asked for ahead of the one that is replied.
const AHEAD: usize = 8;

fn reply(cx: &mut Ctx<'_>, query: &Query<'_>) {
    // The answer borrows the keyspace only, the replies are beside it.
    let Ctx { db, reply, .. } = cx;
    let found = query.answer(db);
    let unit_m = query.shape.map_or(1.0, |shape| shape.unit_m);
    let options = [query.with_distance, query.with_hash, query.with_place];
    let options = options.into_iter().filter(|given| *given).count();
    reply.array(found.len());
    for (nth, place) in found.iter().enumerate() {
        if let Some(next) = found.get(nth + AHEAD) {
            next.member.prefetch();
        }
        if options > 0 {
            reply.array(options + 1);
        }
        reply_elem(reply, place.member.elem());
        if query.with_distance {
            reply_distance(reply, place.distance_m / unit_m);
        }
        if query.with_hash {
            reply.int(place.score as i64);
        }
        if query.with_place {
            reply_place(reply, Point::of_score(place.score));
        }
    }
}

fn store(cx: &mut Ctx<'_>, query: &Query<'_>, target: Key<'_>, form: Form) {
    let limits = cx.db.space.book.limits;
    let unit_m = query.shape.map_or(1.0, |shape| shape.unit_m);
    let mut result: Entry = ZSet::create(target.bytes, &limits, 0);
    let mut zset = ZSetMut::of(&mut result, &limits);
    let found = query.answer(&cx.db);
    let mut text = itoa::Buffer::new();
    let count = found.len();
    zset.prepare(count, found.iter().map(|place| place.member.elem().text(&mut text).len()).max().unwrap_or(0));
    for place in &found {
        let score = if query.store_distances { place.distance_m / unit_m } else { place.score };
        zset.add(place.member.elem().text(&mut text), score, AddOptions::default());
    }
    if count == 0 {
        cx.db.delete(target, false, Event::generic("del"));
    } else {
        let name = if form.is_search() { "geosearchstore" } else { "georadiusstore" };
        cx.db.replace(result, Event::zset(name));
        // Every place counts as a change.
        cx.db.space.book.dirty += count as u64 - 1;
    }
    cx.reply.len(count);
}

pub(super) fn georadius(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::Radius { by_member: false, may_store: true })
}

pub(super) fn georadius_ro(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::Radius { by_member: false, may_store: false })
}

pub(super) fn georadiusbymember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::Radius { by_member: true, may_store: true })
}

pub(super) fn georadiusbymember_ro(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::Radius { by_member: true, may_store: false })
}

pub(super) fn geosearch(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::Search)
}

pub(super) fn geosearchstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, Form::SearchStore)
}
