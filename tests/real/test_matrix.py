"""What reaches what between real guests of two tenants, the outside and the machine: asked in every cell after each
step, and held against the model (reach.py). On the machine's own engine and on OVN, to whose bridge libvirt plugs the
guests."""
import pytest
from conftest import MEMORY, Cloud
from prober import Inside
from sandbox import SLOW, Sandbox
from stage import ENGINES, GUESTS, Stage, why_not_engine
from starvirt import unique
from steps import balances, walk


class RealStage(Stage):
    def __init__(self, cloud, engine):
        super().__init__(cloud.server, cloud.sandbox, engine)
        self.cloud = cloud
        self.add_clients()
        made = {name: self.start(name) for name in GUESTS}
        for name, row in made.items():
            self.client(name).done(row["jobstartid"], SLOW)
            guest = cloud.engine.guest(row["vm.id"], self.vpc(name), self.client(name).show(row["vm.id"])["vm.ip"])
            guest.ready()  # it has its address by DHCP
            self.add_guest(name, row["vm.id"], Inside(guest))

    def start(self, name):
        return self.client(name).create(**{
            "vnic.portgroupid": self.vpc(name), "vm.tenant.model": self.cloud.model, "vm.memory.mem": MEMORY,
            "vm.name": unique(name)}).data[0]

    def delete_guest(self, guest):
        vm = self.vms[guest]
        self.forget(guest)
        self.admin.run("DELETE cloudvm/{vmId}", {"vmId": vm}, SLOW)


@pytest.fixture(scope="module", params=list(ENGINES))
def stage(request, tmp_path_factory, image):
    reason = why_not_engine(request.param)
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("matrix")
    box = Sandbox(folder)
    try:
        engine = ENGINES[request.param](box)
        cloud = Cloud(folder, box, image, engine=engine)
        made = RealStage(cloud, engine)
        yield made
        made.close()
        engine.close()
        cloud.empty()
        complaints = cloud.server.finish()
        assert not complaints, "\n".join(complaints)
    finally:
        box.close()


def test_balancers(stage):
    """OVN has those of tcp and udp only."""
    stage.make_router(0, "a", "b")
    balances(stage, "tcp", 7000, 22)
    balances(stage, "udp", 7001, 81)
    stage.delete_router(0)


def test_matrix(stage):
    for what in walk(stage):
        stage.check(what)
