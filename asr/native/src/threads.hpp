// The threads that share a kernel's work.
//
// A decoding step is over in two milliseconds and the next one follows in less than another. OpenMP's threads fall
// asleep between the two, as soon as the process has more of them than cores (torch has a set for each thread that asks
// it something), and waking one takes as long as half a step: 4.0 ms a step where these take 2. So threads stay awake
// for a while after their work, and then sleep until there is more.
#pragma once

#include <immintrin.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <mutex>
#include <thread>

namespace auricle {

constexpr int MAX_THREADS = 255;
constexpr int MIN_SPINS = 300, MAX_SPINS = 3000, SPINS_BETWEEN_STEPS = 20000;  // a spin takes 10 to 40 ns
constexpr int FEWER_FAILURES = 5;  // spins that are added for each wait that was short

// A number that one thread changes and others wait for: at first awake, since waking takes long, and then asleep, since
// a thread that never sleeps has to stand in line for a core that is wanted by others too.
class Signal {
   public:
    uint32_t value() const { return value_.load(std::memory_order_acquire); }

    void change(uint32_t to) {
        value_.store(to);
        if (n_asleep_.load() > 0) syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }

    // Whether it came while this thread was awake.
    bool await_change(uint32_t from, int n_spins) {
        for (int i = 0; i < n_spins; ++i) {
            if (value() != from) return true;
            _mm_pause();
        }
        ++n_asleep_;
        while (value_.load() == from) syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, from, nullptr, nullptr, 0);
        --n_asleep_;
        return false;
    }

   private:
    alignas(64) std::atomic<uint32_t> value_{0};
    std::atomic<int> n_asleep_{0};
};

// What the threads of one piece of work share.
struct Meeting {
    Signal round;
    alignas(64) std::atomic<int> n_waiting{0};
    alignas(64) std::atomic<int> next{0};  // of the pieces that whoever is free takes
    // How long to stay awake. Equal stretches of work end together, unless a core is wanted by others.
    alignas(64) std::atomic<int> n_spins{MAX_SPINS};
    bool is_disturbed() const { return n_spins.load(std::memory_order_relaxed) < MAX_SPINS / 2; }
};

// One thread among those that work on the same.
class Team {
   public:
    Team(int number, int n, Meeting& meeting) : number(number), n_(n), meeting_(meeting) {}

    const int number;

    // work(0) … work(count - 1), an equal stretch for each thread; then all wait for each other.
    template <typename Work>
    void each(int count, const Work& work) {
        const int end = int(int64_t(count) * (number + 1) / n_);
        for (int i = int(int64_t(count) * number / n_); i < end; ++i) work(i);
        const int n_spins = meeting_.n_spins.load(std::memory_order_relaxed);
        const int then = wait() ? n_spins + (n_spins < MAX_SPINS ? FEWER_FAILURES : 0) : MIN_SPINS;
        meeting_.n_spins.store(then, std::memory_order_relaxed);
    }

    // The same for pieces of unequal length: each thread takes the next one.
    template <typename Work>
    void share(int count, const Work& work) {
        for (int i; (i = meeting_.next.fetch_add(1, std::memory_order_relaxed)) < count;) work(i);
        wait();
    }

    // Whether the others came soon.
    bool wait() {
        const uint32_t round = meeting_.round.value();
        if (meeting_.n_waiting.fetch_add(1, std::memory_order_acq_rel) == n_ - 1) {
            meeting_.n_waiting.store(0, std::memory_order_relaxed);
            meeting_.next.store(0, std::memory_order_relaxed);
            meeting_.round.change(round + 1);
            return true;
        }
        return meeting_.round.await_change(round, meeting_.n_spins.load(std::memory_order_relaxed));
    }

   private:
    const int n_;
    Meeting& meeting_;
};

class ThreadPool {
   public:
    // work(team) on n threads, the caller's among them; returns when all have done theirs.
    template <typename Work>
    void run(int n, const Work& work) {
        if (n <= 1) {
            Meeting alone;
            Team team(0, 1, alone);
            work(team);
            return;
        }
        std::lock_guard<std::mutex> one_at_a_time(running_);
        for (; n_threads_ < n; ++n_threads_) std::thread([this, number = n_threads_] { serve(number); }).detach();
        work_ = &work;
        call_ = [](const void* asked, Team& team) { (*static_cast<const Work*>(asked))(team); };
        job_.change(((job_.value() >> 8) + 1) << 8 | uint32_t(n));
        Team team(0, n, meeting_);
        work(team);
        team.wait();
    }

   private:
    void serve(int number) {
        for (uint32_t seen = 0;;) {
            job_.await_change(seen, meeting_.is_disturbed() ? MIN_SPINS : SPINS_BETWEEN_STEPS);
            seen = job_.value();
            const int n = int(seen & MAX_THREADS);
            if (number >= n) continue;
            Team team(number, n, meeting_);
            call_(work_, team);
            team.wait();
        }
    }

    std::mutex running_;
    int n_threads_ = 1;  // with the caller's
    Meeting meeting_;
    const void* work_ = nullptr;
    void (*call_)(const void*, Team&) = nullptr;
    Signal job_;  // its number, and in the last byte how many threads it is for
};

// The process's threads; never destroyed, since they sleep in it when the process ends. A forked child has none of its
// parent's, so it begins with its own.
inline ThreadPool*& the_pool() {
    static ThreadPool* pool = [] {
        pthread_atfork(nullptr, nullptr, [] { the_pool() = new ThreadPool; });
        return new ThreadPool;
    }();
    return pool;
}

inline int& n_threads() {
    thread_local int n = 1;
    return n;
}

// work(team) on as many threads as the caller set.
template <typename Work>
void in_parallel(const Work& work) {
    the_pool()->run(n_threads(), work);
}

}  // namespace auricle
