/* A guest beside the one that has the disk: it has no port of it, is told so, and goes on. */
#include "ports.h"

static void check_ports(void)
{
    static uint16_t word;
    int vector;

    expect_channel_denied(ATA0_PORTS, ATA0_CONTROL);
    expect_channel_denied(ATA1_PORTS, ATA1_CONTROL);
    check_at("string instructions");
    TRY(vector, "insw", , ARGS("D"(&word), "d"(ATA1_PORTS)));
    EXPECT_EQ(vector, VECTOR_GP);
    TRY(vector, "outsw", , ARGS("S"(&word), "d"(ATA1_PORTS)));
    EXPECT_EQ(vector, VECTOR_GP);
}

static void check_open(void)
{
    struct disk *disk = NULL;

    EXPECT_EQ(disk_open(&disk), -TRAPLINE_ENOENT);
    EXPECT(!disk);
    EXPECT_EQ(guest_info()->disk_ports, 0);
    EXPECT_EQ(guest_info()->disk_control, 0);
}

static const struct check checks[] = {
    {"no disk: its ports are #GP", check_ports},
    {"no disk: there is none to open", check_open},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
