"""A server on sim:// with a real network engine, and namespaces that stand in for guests: each has the device of its
NIC, with its MAC and address, so that filters, gateways and routers are the real ones."""
import os
import socket

from prober import Space
from sandbox import Sandbox
from stage import ENGINES, GUESTS, Stage
from daemon import Server


class StandinServer(Server):
    """In the sandbox; its socket was opened outside."""

    def __init__(self, data, box, engine):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        super().__init__(data, network=engine.network, prefix=box.enter, listen_fd=self.listener.fileno(),
                         options=engine.options)


class Standins(Stage):
    def __init__(self, folder, engine):
        """`engine`: its name."""
        self.box = Sandbox(folder, libvirt=False)
        try:
            made = ENGINES[engine](self.box)
            self.server = StandinServer(os.path.join(folder, "data"), self.box, made).start()
            super().__init__(self.server, self.box, made)
            self.add_clients()
            model = self.admin.model(size=1)
            for name in GUESTS:
                self.add_standin(name, model)
        except BaseException:
            self.box.close()
            raise

    def add_standin(self, name, model):
        client = self.client(name)
        vm = client.vm(vnic_portgroupid=self.vpc(name), vm_tenant_model=model, vm_name=name)
        (nic,) = client.ok("POST cloudvm/vnic/search", {"vnic.vmid": vm}).data
        self.engine.plug_nic(name, nic)
        ip = nic["vnic.ipaddress"]
        gateway = ip.rsplit(".", 1)[0] + ".1"
        for words in (["addr", "add", f"{ip}/24", "dev", "eth0"], ["route", "add", "default", "via", gateway]):
            self.box.run("ip", "-n", name, *words)
        self.add_guest(name, vm, Space(self.box, name))

    def delete_guest(self, guest):
        vm = self.vms[guest]
        self.forget(guest)
        self.admin.run("DELETE cloudvm/{vmId}", {"vmId": vm})
        self.engine.unplug(guest)

    def end(self):
        """All of it goes through the API; what is wrong with the server's life."""
        try:
            self.close()
            for vm in self.vms.values():
                self.admin.run("DELETE cloudvm/{vmId}", {"vmId": vm})
            for row in self.admin.ok("POST cloudnetwork/vpc/search").data:
                self.admin.ok("POST cloudnetwork/vpc/delete", {"vpc.id": row["vpc.id"]})
            return self.server.finish()
        finally:
            self.box.close()
