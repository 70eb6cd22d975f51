"""Ten thousand VMs on one simulated cloud. Only counts are asserted; what is fast is bench/'s to say."""
import concurrent.futures

VMS, BATCH, CLIENTS = 10000, 10, 8


def spread(n, fn):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(fn, range(n)))


def test_ten_thousand_vms(server):
    one = server(connect="sim://?hosts=8", options=["--log.level", "warn", "--jobs.slots_per_host", "2"])
    admin = one.admin
    model = admin.model(size=1)
    tenants = [admin.tenant(cpu=VMS, memory=VMS * 16, storage=VMS, portgroup=1000) for _ in range(2)]
    vpcs = [[t.vpc() for _ in range(VMS // 2 // 250)] for t in tenants]

    def create(i):
        who = i % 2
        return tenants[who].create(**{"vnic.portgroupid": vpcs[who][i // 2 // 25], "vm.tenant.model": model,
                                      "vm.num": BATCH,
                                      "vm.memory.mem": 16, "vm.name": f"scale-{i}"}).data

    made = spread(VMS // BATCH, create)
    assert sum(len(rows) for rows in made) == VMS

    # every page once: each VM is seen exactly once, and the count never wavers
    for rows in made[-2:]:
        for row in rows:
            admin.done(row["jobstartid"], 300)
    drained(admin)
    assert admin.ok("POST cloudvm/search", {"vm.state": 1, "page.everypagenum": 1}).count == VMS
    assert admin.ok("POST joblog/search", {"job.result": 0, "page.everypagenum": 1}).count == VMS
    for who, tenant in enumerate(tenants):
        assert tenant.ok("POST cloudvm/search", {"page.everypagenum": 1}).count == VMS // 2
        assert tenant.usable()["cpu"] == VMS // 2
        pages = spread(-(-VMS // 2 // 30),
                       lambda i: tenant.ok("POST cloudvm/search", {"page.startnum": i + 1, "page.everypagenum": 30}))
        assert {page.count for page in pages} == {VMS // 2}
        ids = [row["vm.id"] for page in pages for row in page.data]
        assert ids == [row["vm.id"] for row in tenant.ok("POST cloudvm/search").data] and len(set(ids)) == VMS // 2
        assert tenant.ok("POST cloudvm/search", {"vm.name": f"scale-{who}-"}).count == BATCH

    one.restart()
    assert admin.ok("POST cloudvm/search", {"vm.state": 1, "page.everypagenum": 1}).count == VMS

    def delete(i):
        for row in made[i]:
            tenants[i % 2].ok("DELETE cloudvm/{vmId}", {"vmId": row["vm.id"]})

    spread(VMS // BATCH, delete)
    drained(admin)
    assert admin.ok("POST cloudvm/search", {"page.everypagenum": 1}).count == 0
    for tenant in tenants:
        assert (tenant.usable()["cpu"], tenant.usable()["memory"], tenant.usable()["storage"]) == (VMS, VMS * 16, VMS)
        vpcs = tenant.ok("POST cloudnetwork/vpc/search").data
        assert {row["vpc.usable.ipcount"] for row in vpcs} == {"253"}


def drained(admin, timeout=300):
    """Follows the newest job that is open until there is none."""
    for result in (2, 3):
        while True:
            reply = admin.ok("POST joblog/search", {"job.result": result, "page.startnum": 1, "page.everypagenum": 30})
            if reply.count == 0:
                break
            admin.done(reply.data[-1]["startid"], timeout)
