#include "guest/workloads/bigspace/build.h"

#include "guest/common/random.h"

enum {
    COMPOSITES_IN_PAGE = PAGE_OBJECTS / (1 + PARTS),
};

/* A design in the making. */
struct builder {
    const struct design *design;
    struct space *space;
    uint64_t random;
    uint64_t *libraries; /* the library's pages, by number */
    uint64_t page;       /* that assemblies are being put on */
    unsigned used;       /* objects of it */
    uint64_t id;         /* of the last object */
};

static size_t library_pages(const struct design *design)
{
    return (design->composites + COMPOSITES_IN_PAGE - 1) / COMPOSITES_IN_PAGE;
}

size_t design_pages(const struct design *design)
{
    size_t assemblies = 0, level = 1;

    for (uint64_t i = 0; i < design->levels; i++) {
        assemblies += level;
        level *= FANOUT;
    }
    return library_pages(design) + (assemblies + PAGE_OBJECTS - 1) / PAGE_OBJECTS;
}

/* A page somewhere in the space, but for its first page, in which address 0 is. */
static uint64_t new_page(struct builder *builder)
{
    uint64_t number;

    do {
        number = 1 + random_below(&builder->random, builder->design->space / PAGE - 1);
    } while (bigspace_find(builder->space, number));
    bigspace_add(builder->space, number);
    return number;
}

static struct object64 *make(struct builder *builder, uint64_t address, enum object_kind kind)
{
    struct object64 *const object = bigspace_object(builder->space, address);

    object->data = (struct object_data){
        .kind = kind,
        .id = ++builder->id,
        .x = random_below(&builder->random, 1 << 20),
        .y = random_below(&builder->random, 1 << 20),
    };
    return object;
}

/* The address of the library's composite part number number. */
static uint64_t composite_at(const struct builder *builder, uint64_t number)
{
    return builder->libraries[number / COMPOSITES_IN_PAGE] * PAGE +
           number % COMPOSITES_IN_PAGE * (1 + PARTS) * OBJECT_BYTES;
}

static uint64_t any_composite(struct builder *builder)
{
    return composite_at(builder, random_below(&builder->random, builder->design->composites));
}

/* Its parts follow it in its page; each is connected to the next one, so that all are reached. */
static void make_composite(struct builder *builder, uint64_t number)
{
    const uint64_t address = composite_at(builder, number), first = address + OBJECT_BYTES;
    struct object64 *const composite = make(builder, address, OBJECT_COMPOSITE);

    composite->refs[COMPOSITE_ROOT] = first + random_below(&builder->random, PARTS) * OBJECT_BYTES;
    for (unsigned i = 0; i < FANOUT; i++)
        composite->refs[COMPOSITE_LIKE + i] = any_composite(builder);
    for (unsigned i = 0; i < PARTS; i++) {
        struct object64 *const part = make(builder, first + i * OBJECT_BYTES, OBJECT_PART);

        part->data.number = i;
        part->refs[0] = first + (i + 1) % PARTS * OBJECT_BYTES;
        for (unsigned j = 1; j < PART_CONNECTIONS; j++)
            part->refs[j] = first + random_below(&builder->random, PARTS) * OBJECT_BYTES;
        part->refs[PART_OF] = address;
    }
}

/* An assembly with all that is below it. Its address. */
static uint64_t make_assembly(struct builder *builder, uint64_t levels)
{
    uint64_t address;

    if (builder->used == PAGE_OBJECTS || builder->page == 0) {
        builder->page = new_page(builder);
        builder->used = 0;
    }
    address = builder->page * PAGE + builder->used++ * OBJECT_BYTES;
    make(builder, address, levels == 1 ? OBJECT_BASE : OBJECT_COMPLEX);
    for (unsigned i = 0; i < FANOUT; i++) {
        const uint64_t below =
            levels == 1 ? any_composite(builder) : make_assembly(builder, levels - 1);

        bigspace_object(builder->space, address)->refs[i] = below;
    }
    return address;
}

int design_build(const struct design *design, struct space *space, uint64_t *root)
{
    const size_t pages = design_pages(design), libraries = library_pages(design);
    struct builder builder = {.design = design, .space = space, .random = design->seed};
    int error;

    if (design->space / PAGE < 2 * pages)
        return -TRAPLINE_EINVAL;
    error = bigspace_create(space, pages);
    if (error)
        return error;
    builder.libraries = calloc(libraries, sizeof(*builder.libraries));
    if (!builder.libraries) {
        bigspace_destroy(space);
        return -TRAPLINE_ENOMEM;
    }
    for (size_t i = 0; i < libraries; i++)
        builder.libraries[i] = new_page(&builder);
    for (uint64_t i = 0; i < design->composites; i++)
        make_composite(&builder, i);
    *root = make_assembly(&builder, design->levels);
    free(builder.libraries);
    return 0;
}
