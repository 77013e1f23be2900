//! Rate limits that several proxies share over Redis ([`policy::rate::shared`]): the call, and what holds when nobody answers it.
//!
//! A request waits for the answer, at most as long as the Redis' deadline. When that passes, or the breaker lets no call through, the configuration says what
//! holds (`limit.on_failure`): this proxy's own count, no limit, or no request. The count of its own goes on from what Redis has said last, so that a call that
//! is late now and then does not find a burst that is full.

use std::sync::LazyLock;

use net::Net;
use policy::{
    Instant,
    message::Reply,
    rate::{
        Identities, Judgement, OnFailure, Quota, Rates,
        shared::{SCRIPT, arguments, key},
    },
};

use super::Limits;
use crate::engine::{
    exchange::Exchange,
    heads::RequestFields,
    redis::{Memory, Redis, Script, Value},
};

static DECIDE: LazyLock<Script> = LazyLock::new(|| Script::new(SCRIPT, in_memory));

impl<N: Net> Exchange<'_, N> {
    /// Asks the rate limits that are shared. The answer, if the request may not pass.
    pub(in crate::engine) async fn limit_shared(
        &mut self,
        limits: &Limits,
        redis: &Redis,
    ) -> Option<Reply> {
        let fields = RequestFields(&self.pad.request);
        let asked = fields.asked(&self.setup.signature, &self.client.peer);
        let who = limits.rates.identify(&asked);
        if who.iter().all(Option::is_none) {
            return None;
        }
        let calls = calls(&limits.rates, &who, &limits.service, redis.prefix());
        let keys: Vec<&[u8]> = calls.iter().map(|(key, _)| key.as_bytes()).collect();
        let both = calls.iter().flat_map(|(_, both)| both);
        let arguments: Vec<&[u8]> = both.map(String::as_bytes).collect();
        let clock = self.worker.clock;
        let answer = redis.eval(&clock, &DECIDE, &keys, &arguments).await;
        let now = clock.now();
        let judgement = answer.ok().and_then(|answer| read(&limits.rates, &who, &answer, now));
        let judgement = match (judgement, limits.on_failure) {
            (Some(judgement), _) => judgement,
            (None, OnFailure::Local) => limits.rates.ask(&who, now),
            (None, OnFailure::Open) => return None,
            (None, OnFailure::Closed) => {
                self.pad.held = None;
                self.worker.stats.limited.add(1);
                let line = "503: it is not known whether this request is within its limits; try again later";
                let reply = Reply::text(503, "limits_unknown", line);
                return Some(reply.with("Retry-After", "1"));
            }
        };
        self.judged(limits, &judgement)
    }
}

/// For each limit that is for the request: the key, and what the script is told.
fn calls(
    rates: &Rates,
    who: &Identities,
    service: &str,
    prefix: &str,
) -> Vec<(String, [String; 2])> {
    let call = |(name, who, quota): (&str, _, &Quota)| {
        let key = if service.is_empty() {
            key(prefix, name, who)
        } else {
            key(prefix, &format!("{service}.{name}"), who)
        };
        (key, arguments(quota))
    };
    rates.of(who).map(call).collect()
}

/// What the script has said; nothing if that is not what it says.
fn read(rates: &Rates, who: &Identities, answer: &Value, now: Instant) -> Option<Judgement> {
    let Value::Array(answer) = answer else { return None };
    let mut numbers = answer.iter().map(|value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    });
    let refused = numbers.next()?? != 0;
    let ahead: Vec<u64> = numbers.collect::<Option<_>>()?;
    Some(rates.decided(who, refused, ahead, now))
}

/// What the script does, in the stand-in of simulated worlds: there the nanoseconds are whole.
fn in_memory(memory: &mut Memory, keys: &[&[u8]], arguments: &[&[u8]], now: Instant) -> Value {
    let nanos = |text: &[u8]| -> u64 {
        let micros = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
        micros.map_or(0, |micros| (micros * 1000.0).round() as u64)
    };
    let quotas = arguments.chunks_exact(2);
    let quotas =
        quotas.map(|both| Quota { interval: nanos(both[0]).max(1), tolerance: nanos(both[1]) });
    let mut dues = Vec::with_capacity(keys.len());
    for (key, quota) in keys.iter().zip(quotas) {
        let known = memory.text(key, now).map_or(0, nanos);
        dues.push((quota, known, quota.ask(known, now)));
    }
    let refused = dues.iter().any(|(_, _, answer)| answer.is_err());
    let mut said = vec![Value::Int(i64::from(refused))];
    for (key, (_, known, answer)) in keys.iter().zip(dues) {
        let due = match answer {
            Ok(next) if !refused => {
                let text = format!("{}.{:03}", next / 1000, next % 1000);
                memory.put(key, text.into_bytes(), Instant::from_nanos(next));
                next
            }
            _ => known,
        };
        said.push(Value::Int(due.saturating_sub(now.as_nanos()) as i64));
    }
    Value::Array(said)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_stand_in_decides_as_the_limits_themselves_do() {
        let mut memory = Memory::default();
        let quota = Quota::new(3, Duration::from_secs(1), 2);
        let arguments = arguments(&quota);
        let arguments: Vec<&[u8]> = arguments.iter().map(String::as_bytes).collect();
        let (mut known, mut now) = (0, Instant::from_nanos(17));
        for pause in [0, 0, 0, 100, 200, 33, 1, 334, 5000, 0, 1, 0] {
            now += Duration::from_millis(pause);
            let expected = quota.ask(known, now);
            known = expected.unwrap_or(known);
            let ahead = known - now.as_nanos();
            let answer = in_memory(&mut memory, &[b"key"], &arguments, now);
            let refused = i64::from(expected.is_err());
            assert_eq!(answer, Value::Array(vec![Value::Int(refused), Value::Int(ahead as i64)]));
        }
    }
}
