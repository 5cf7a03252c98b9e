#include "hv/channel.h"

#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/interrupt.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "hv/vcpu.h"

enum {
    /* An offer's pages lie in this many 2 MiB blocks at most. */
    BLOCKS = TRAPLINE_CHANNEL_PAGES * PAGE_SIZE / GUEST_BLOCK_BYTES + 1,
};

/* A part of an offer that lies in one block, and so is contiguous in host memory. */
struct piece {
    uint64_t hpa;
    uint64_t bytes;
    unsigned memtype;
};

/* A guest's channels. */
struct channel_ends {
    struct channel_end end[TRAPLINE_CHANNELS];
    struct channel_listener offers; /* who wants to know of offers to this guest */
    bool closed;                    /* the guest has ended and will not run again */
};

static struct spinlock all_channels;
static struct channel_ends *ends; /* by the guest's id */
static struct channel *channels;  /* by the offering guest's id, then its number */
static uint64_t serials;

_Static_assert((int)TRAPLINE_NAME_LEN == (int)HANDOVER_NAME_LEN, "ABI");

bool channels_init(unsigned count)
{
    uint64_t ends_bytes = count * sizeof(*ends);
    uint64_t phys =
        memory_alloc(ends_bytes + count * TRAPLINE_CHANNELS * sizeof(*channels), PAGE_SIZE);

    if (!phys)
        return false;
    ends = phys_to_virt(phys);
    channels = phys_to_virt(phys + ends_bytes);
    return true;
}

static bool same_name(const char *a, const char *b)
{
    for (unsigned i = 0; i < TRAPLINE_NAME_LEN; i++) {
        if (a[i] != b[i])
            return false;
        if (a[i] == '\0')
            return true;
    }
    return false;
}

/* Read the name of another guest; 0 or an error. */
static int64_t find_peer(struct vcpu *vcpu, uint64_t name_gpa, struct guest **peer)
{
    char name[TRAPLINE_NAME_LEN];
    bool readable, terminated = false;

    guest_lock(vcpu);
    readable = guest_may_access(vcpu->guest, name_gpa, sizeof(name), EPT_ACCESS_R);
    if (readable)
        guest_read(vcpu->guest, name_gpa, name, sizeof(name));
    guest_unlock(vcpu);
    if (!readable)
        return -TRAPLINE_EFAULT;
    for (unsigned i = 0; i < sizeof(name); i++)
        terminated |= name[i] == '\0';
    if (!terminated)
        return -TRAPLINE_EINVAL;
    for (unsigned i = 0; i < guest_count; i++) {
        if (!same_name(guests[i]->config->name, name))
            continue;
        *peer = guests[i];
        return guests[i] == vcpu->guest ? -TRAPLINE_EINVAL : 0;
    }
    return -TRAPLINE_ENOENT;
}

/* A number that the guest has not in use, or TRAPLINE_CHANNELS. */
static unsigned free_number(const struct guest *guest)
{
    unsigned number = 0;

    while (number < TRAPLINE_CHANNELS && ends[guest->id].end[number].used)
        number++;
    return number;
}

/* Let a guest know, if it listens. Its vCPUs exist: it was running when the listener was set. */
static void ring(struct guest *guest, const struct channel_listener *listener)
{
    struct vcpu *vcpu = guest->vcpus[listener->vcpu];

    if (!listener->listens)
        return;
    atomic_store(&vcpu->unparked, true);
    vcpu_wake(vcpu);
    if (listener->vector)
        vapic_raise(vcpu, listener->vector);
}

/* Whether a range has pages that the guest tracks; with its lock. */
static bool any_tracked(const struct guest *guest, uint64_t page, uint64_t pages)
{
    struct ept_translation t;

    for (uint64_t gpa = page; gpa < page + pages * PAGE_SIZE;) {
        ept_lookup(&guest->ept, gpa, &t);
        if (t.tracked)
            return true;
        gpa += t.level == 1 ? PAGE_SIZE : SIZE_2M - (gpa & (SIZE_2M - 1));
    }
    return false;
}

/* Put the offer under the guest's number; 0 or an error. With the lock of all channels. */
static int64_t add_offer(struct vcpu *vcpu, struct guest *to, const struct channel_end *end)
{
    struct guest *guest = vcpu->guest;
    unsigned number = free_number(guest);
    struct channel *channel = &channels[guest->id * TRAPLINE_CHANNELS + number];
    bool conflict;

    if (ends[to->id].closed)
        return -TRAPLINE_EPIPE;
    if (number == TRAPLINE_CHANNELS)
        return -TRAPLINE_ENOMEM;
    guest_lock(vcpu);
    conflict = (end->access & EPT_ACCESS_W) && any_tracked(guest, end->page, end->pages);
    if (!conflict) {
        ends[guest->id].end[number] = *end;
        ends[guest->id].end[number].channel = channel;
        atomic_store(&guest->listening, true);
    }
    guest_unlock(vcpu);
    if (conflict)
        return -TRAPLINE_EINVAL;
    atomic_store(&guest->listening, true);
    spin_lock(&channel->lock);
    channel->side[CHANNEL_OFFERER] =
        (struct channel_side){guest, number, {.listens = true, .vcpu = (uint16_t)vcpu->index}};
    channel->side[CHANNEL_ACCEPTOR] = (struct channel_side){.guest = to};
    channel->serial = ++serials;
    channel->state = CHANNEL_OFFERED;
    spin_unlock(&channel->lock);
    ring(to, &ends[to->id].offers);
    return number;
}

int64_t channel_offer(struct vcpu *vcpu, struct vmx_regs *regs)
{
    uint64_t page = regs->rsi, pages = regs->rdx, access = regs->r10;
    struct channel_end end = {.used = true, .role = CHANNEL_OFFERER, .page = page, .pages = pages};
    struct guest *to;
    int64_t result;

    if (page % PAGE_SIZE || !pages || pages > TRAPLINE_CHANNEL_PAGES || access > EPT_ACCESS_RWX ||
        !(access & EPT_ACCESS_R))
        return -TRAPLINE_EINVAL;
    if (!guest_in_ram(vcpu->guest, page, pages * PAGE_SIZE))
        return -TRAPLINE_ENOENT;
    end.access = (unsigned)access;
    result = find_peer(vcpu, regs->rdi, &to);
    if (result)
        return result;
    spin_lock(&all_channels);
    result = add_offer(vcpu, to, &end);
    spin_unlock(&all_channels);
    return result;
}

/* The oldest offer from one guest to another; NULL = there is none. */
static struct channel *oldest_offer(const struct guest *from, const struct guest *to)
{
    struct channel *oldest = NULL;

    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        struct channel *channel = &channels[from->id * TRAPLINE_CHANNELS + i];

        if (channel->state == CHANNEL_OFFERED && channel->side[CHANNEL_ACCEPTOR].guest == to &&
            (!oldest || channel->serial < oldest->serial))
            oldest = channel;
    }
    return oldest;
}

/* Where the first pages of an offer are in host memory; returns how many pieces that makes. */
static unsigned locate(struct guest *offerer, uint64_t page, uint64_t pages, struct piece *pieces)
{
    uint64_t end = page + pages * PAGE_SIZE;
    unsigned count = 0;

    guest_lock_outside(offerer);
    for (uint64_t gpa = page; gpa < end; gpa += pieces[count++].bytes) {
        uint64_t left = SIZE_2M - (gpa & (SIZE_2M - 1));
        struct ept_translation t;

        ept_lookup(&offerer->ept, gpa, &t);
        pieces[count].hpa = t.hpa;
        pieces[count].memtype = t.memtype;
        pieces[count].bytes = left < end - gpa ? left : end - gpa;
    }
    spin_unlock(&offerer->lock);
    return count;
}

/* Take the acceptor's mapping away; with its lock, and the flush is still owed. */
static void unmap(struct guest *acceptor, uint64_t gpa, uint64_t bytes)
{
    /* Nothing else merges with, aliases or tracks these pages, so that nothing stands in the way.
     */
    if (bytes && ept_unmap(&acceptor->ept, gpa, bytes) != EPT_OK)
        panic("channel of guest %s: its pages at %llx cannot be unmapped", acceptor->config->name,
              (unsigned long long)gpa);
}

/* Map all pieces from gpa on, or none; with the acceptor's lock. */
static int map(struct guest *acceptor, uint64_t gpa, const struct piece *pieces, unsigned count,
               unsigned access)
{
    uint64_t at = gpa;

    for (unsigned i = 0; i < count; i++) {
        int error =
            ept_map(&acceptor->ept, at, pieces[i].hpa, pieces[i].bytes, access, pieces[i].memtype);

        if (error != EPT_OK) {
            unmap(acceptor, gpa, at - gpa);
            return error;
        }
        at += pieces[i].bytes;
    }
    return EPT_OK;
}

/* Accept the oldest offer of a guest; with the lock of all channels. */
static int64_t accept(struct vcpu *vcpu, struct guest *from, uint64_t gpa, uint64_t *pages)
{
    struct guest *guest = vcpu->guest;
    struct channel *channel = oldest_offer(from, guest);
    unsigned number = free_number(guest);
    struct piece pieces[BLOCKS];
    const struct channel_end *offer;
    int64_t error;

    if (!channel)
        return -TRAPLINE_EAGAIN;
    if (number == TRAPLINE_CHANNELS)
        return -TRAPLINE_ENOMEM;
    offer = &ends[from->id].end[channel->side[CHANNEL_OFFERER].number];
    if (*pages > offer->pages)
        *pages = offer->pages;
    unsigned count = locate(from, offer->page, *pages, pieces);
    guest_lock(vcpu);
    error = map(guest, gpa, pieces, count, offer->access);
    if (error == EPT_OK)
        ends[guest->id].end[number] = (struct channel_end){
            .channel = channel,
            .role = CHANNEL_ACCEPTOR,
            .used = true,
            .page = gpa,
            .pages = *pages,
            .access = offer->access,
        };
    flush_and_unlock(vcpu, error);
    if (error != EPT_OK)
        return error;
    atomic_store(&guest->listening, true);
    *pages = *pages << PAGE_SHIFT | offer->access;
    atomic_store(&vcpu->guest->listening, true);
    spin_lock(&channel->lock);
    channel->side[CHANNEL_ACCEPTOR].number = number;
    channel->side[CHANNEL_ACCEPTOR].listener =
        (struct channel_listener){.listens = true, .vcpu = (uint16_t)vcpu->index};
    channel->state = CHANNEL_OPEN;
    ring(from, &channel->side[CHANNEL_OFFERER].listener);
    spin_unlock(&channel->lock);
    return number;
}

int64_t channel_accept(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t gpa = regs->rsi, pages = regs->rdx;
    struct guest *from;
    int64_t result;

    if (gpa % PAGE_SIZE || !pages || gpa < guest->alias_base ||
        gpa - guest->alias_base >= guest->alias_size ||
        pages > (guest->alias_size - (gpa - guest->alias_base)) >> PAGE_SHIFT)
        return -TRAPLINE_EINVAL;
    result = find_peer(vcpu, regs->rdi, &from);
    if (result)
        return result;
    spin_lock(&all_channels);
    result = accept(vcpu, from, gpa, &pages);
    spin_unlock(&all_channels);
    if (result >= 0)
        regs->rdx = pages;
    return result;
}

/*
 * One side of a channel that is closed: the acceptor's pages go, and the number becomes free, or,
 * when it is the other side that withdraws, stands for a channel that is gone. vcpu: the one of
 * this side that withdraws, NULL = somebody else does it. dead: no vCPU of this side runs any more.
 */
static void close_end(struct guest *guest, unsigned number, struct vcpu *vcpu, bool mapped,
                      bool dead)
{
    struct channel_end *end = &ends[guest->id].end[number];

    if (vcpu)
        guest_lock(vcpu);
    else
        guest_lock_outside(guest);
    if (mapped && !dead)
        unmap(guest, end->page, end->pages * PAGE_SIZE);
    end->channel = NULL;
    end->used = !vcpu && !dead;
    if (vcpu)
        flush_and_unlock(vcpu, 0);
    else
        flush_and_unlock_outside(guest);
}

/* The side role of an end's channel withdraws. With the lock of all channels. */
static void close_channel(struct guest *guest, unsigned number, struct vcpu *vcpu)
{
    struct channel *channel = ends[guest->id].end[number].channel;
    enum channel_role role = ends[guest->id].end[number].role;
    struct channel_side other;
    bool open;

    spin_lock(&channel->lock);
    other = channel->side[!role];
    open = channel->state == CHANNEL_OPEN;
    channel->state = CHANNEL_FREE;
    spin_unlock(&channel->lock);
    if (open)
        close_end(other.guest, other.number, NULL, role == CHANNEL_OFFERER, false);
    close_end(guest, number, vcpu, open && role == CHANNEL_ACCEPTOR, !vcpu);
    if (open)
        ring(other.guest, &other.listener);
}

int64_t channel_withdraw(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t number = regs->rdi;
    int64_t result = 0;

    spin_lock(&all_channels);
    if (number >= TRAPLINE_CHANNELS || !ends[guest->id].end[number].used)
        result = -TRAPLINE_ENOENT;
    else if (ends[guest->id].end[number].channel)
        close_channel(guest, (unsigned)number, vcpu);
    else
        close_end(guest, (unsigned)number, vcpu, false, false);
    spin_unlock(&all_channels);
    return result;
}

void channel_guest_ends(struct guest *guest)
{
    struct channel_ends *own = &ends[guest->id];

    spin_lock(&all_channels);
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        if (own->end[i].channel)
            close_channel(guest, i, NULL);
    }
    *own = (struct channel_ends){0};
    spin_unlock(&all_channels);
}

void channel_guest_is_over(struct guest *guest)
{
    spin_lock(&all_channels);
    ends[guest->id].closed = true;
    for (unsigned i = 0; i < guest_count * TRAPLINE_CHANNELS; i++) {
        struct channel *channel = &channels[i];
        struct channel_side offerer;

        if (channel->state != CHANNEL_OFFERED || channel->side[CHANNEL_ACCEPTOR].guest != guest)
            continue;
        spin_lock(&channel->lock);
        offerer = channel->side[CHANNEL_OFFERER];
        channel->state = CHANNEL_FREE;
        spin_unlock(&channel->lock);
        close_end(offerer.guest, offerer.number, NULL, false, false);
        ring(offerer.guest, &offerer.listener);
    }
    spin_unlock(&all_channels);
}

static bool is_side(const struct channel_side *side, const struct guest *guest, uint64_t number)
{
    return side->guest == guest && side->number == number;
}

/*
 * The channel behind a number of the guest's, with its lock taken, and the guest's role in it; or
 * NULL and the error. Takes no other lock: the channel may be closed at the same time, and even be
 * another one when its lock is there, but whose it is it says itself.
 */
static struct channel *lock_channel(const struct guest *guest, uint64_t number,
                                    enum channel_role *role, int64_t *error)
{
    const struct channel_end *end;
    struct channel *channel;

    *error = -TRAPLINE_ENOENT;
    if (number >= TRAPLINE_CHANNELS)
        return NULL;
    end = &ends[guest->id].end[number];
    channel = __atomic_load_n(&end->channel, __ATOMIC_RELAXED);
    if (channel) {
        spin_lock(&channel->lock);
        *role = CHANNEL_OFFERER;
        if (channel->state != CHANNEL_FREE && is_side(&channel->side[*role], guest, number))
            return channel;
        *role = CHANNEL_ACCEPTOR;
        if (channel->state == CHANNEL_OPEN && is_side(&channel->side[*role], guest, number))
            return channel;
        spin_unlock(&channel->lock);
    }
    if (channel || __atomic_load_n(&end->used, __ATOMIC_RELAXED))
        *error = -TRAPLINE_EPIPE;
    return NULL;
}

int64_t channel_ring(struct vcpu *vcpu, struct vmx_regs *regs)
{
    enum channel_role role;
    int64_t result;
    struct channel *channel = lock_channel(vcpu->guest, regs->rdi, &role, &result);

    if (!channel)
        return result;
    if (channel->state == CHANNEL_OPEN) {
        ring(channel->side[!role].guest, &channel->side[!role].listener);
        result = 0;
    } else {
        result = -TRAPLINE_EAGAIN;
    }
    spin_unlock(&channel->lock);
    return result;
}

int64_t channel_listen(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    struct channel_listener listener = {
        .listens = true, .vcpu = (uint16_t)regs->rsi, .vector = (uint8_t)regs->rdx};
    struct channel *channel;
    enum channel_role role;
    int64_t error;

    if (regs->rsi >= guest->vcpu_count || (regs->rdx && regs->rdx < VAPIC_VECTOR_FIRST) ||
        regs->rdx >= VAPIC_VECTORS)
        return -TRAPLINE_EINVAL;
    atomic_store(&guest->listening, true);
    if (regs->rdi == TRAPLINE_CHANNEL_OFFERS) {
        spin_lock(&all_channels);
        ends[guest->id].offers = listener;
        spin_unlock(&all_channels);
        return 0;
    }
    channel = lock_channel(guest, regs->rdi, &role, &error);
    if (!channel)
        return error;
    channel->side[role].listener = listener;
    spin_unlock(&channel->lock);
    return 0;
}

static bool meets(const struct channel_end *end, uint64_t gpa, uint64_t pages)
{
    return gpa < end->page + end->pages * PAGE_SIZE &&
           (end->page < gpa || (end->page - gpa) >> PAGE_SHIFT < pages);
}

bool channel_maps(const struct guest *guest, uint64_t gpa, uint64_t pages)
{
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        const struct channel_end *end = &ends[guest->id].end[i];

        if (end->channel && end->role == CHANNEL_ACCEPTOR && meets(end, gpa, pages))
            return true;
    }
    return false;
}

bool channel_shares_writes(const struct guest *guest, uint64_t gpa, uint64_t pages)
{
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        const struct channel_end *end = &ends[guest->id].end[i];

        if (end->channel && end->role == CHANNEL_OFFERER && (end->access & EPT_ACCESS_W) &&
            meets(end, gpa, pages))
            return true;
    }
    return false;
}

bool channel_gone(const struct guest *guest, uint64_t gpa)
{
    for (unsigned i = 0; i < TRAPLINE_CHANNELS; i++) {
        const struct channel_end *end = &ends[guest->id].end[i];

        if (end->used && !end->channel && end->role == CHANNEL_ACCEPTOR && meets(end, gpa, 1))
            return true;
    }
    return false;
}
